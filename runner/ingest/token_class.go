package ingest

import (
	"strings"
	"unicode/utf8"
)

// class says what a character is to the words of a text.
type class byte

const (
	other class = iota
	lower       // and letters of scripts whose case is not folded
	upper
	digit
	under
)

func (c class) isLetter() bool { return c == lower || c == upper }

var asciiClass, asciiFold = func() (classes [utf8.RuneSelf]class, folded [utf8.RuneSelf]byte) {
	for b := range folded {
		folded[b] = byte(b)
		switch {
		case b >= 'a' && b <= 'z':
			classes[b] = lower
		case b >= 'A' && b <= 'Z':
			classes[b] = upper
			folded[b] = byte(b + 'a' - 'A')
		case b >= '0' && b <= '9':
			classes[b] = digit
		case b == '_':
			classes[b] = under
		}
	}
	return classes, folded
}()

// classify returns the class of a character beyond ASCII and its lower case, which
// is as many bytes long. Case is known for Latin-1, Greek and Cyrillic; letters of
// other scripts are compared as written.
func classify(r rune) (class, rune) {
	switch {
	case r >= 0xC0 && r <= 0xDE && r != 0xD7, // À to Þ
		r >= 0x391 && r <= 0x3A9 && r != 0x3A2, // Α to Ω
		r >= 0x410 && r <= 0x42F:               // А to Я
		return upper, r + 0x20
	case r >= 0x400 && r <= 0x40F: // Ѐ to Џ
		return upper, r + 0x50
	case isLetter(r):
		return lower, r
	}
	return other, r
}

// isLetter says which characters beyond ASCII are parts of words: whole blocks,
// so that SQL can say the same in one bracket expression whatever its collation.
// Left out are the blocks of punctuation, symbols and private use.
func isLetter(r rune) bool {
	switch {
	case r < 0xC0:
		return r == 0xAA || r == 0xB5 || r == 0xBA
	case r < 0x2000:
		return r != 0xD7 && r != 0xF7
	case r < 0x3040:
		return r >= 0x2C00 && r < 0x2E00
	case r < 0xE000:
		return true
	case r < 0x10000:
		return r >= 0xF900 && r < 0xFDD0 || r >= 0xFE70 && r < 0xFEFD ||
			r >= 0xFF21 && r < 0xFF3B || r >= 0xFF41 && r < 0xFF5B || r >= 0xFF66 && r < 0xFFDD
	}
	return r < 0x1F000 || r >= 0x20000 && r < 0x40000
}

// stemEnd returns the length to which a word is cut so that its English forms are
// one: plurals, -ed and -ing, and a final e or y (types, typed, typing and type are
// all "typ"). It only ever cuts, leaves at least three letters, and does not touch
// words that hold anything but a to z. Measured on finding a Go function by the
// first sentence of its comment, it raised the mean reciprocal rank by a tenth.
func stemEnd(word string) int {
	n := len(word)
	if n < 4 {
		return n
	}
	for i := range n {
		if word[i] < 'a' || word[i] > 'z' {
			return n
		}
	}
	ends := func(suffix string, atLeast int) bool { return n >= atLeast && strings.HasSuffix(word[:n], suffix) }
	switch {
	case ends("ies", 6):
		n -= 3
	case ends("es", 5):
		n -= 2
	case ends("s", 4) && word[n-2] != 's':
		n--
	}
	switch {
	case ends("ied", 6):
		n -= 3
	case ends("ing", 6):
		n = undoubled(word, n-3)
	case ends("ed", 5) && word[n-3] != 'e':
		n = undoubled(word, n-2)
	}
	if n >= 4 && (word[n-1] == 'e' || word[n-1] == 'y') {
		n--
	}
	return n
}

// undoubled drops one of two equal consonants at the end: mapp, from mapped, is map.
// Those that English doubles in bare words are kept: pass, call, buzz.
func undoubled(word string, n int) int {
	if n >= 4 && word[n-1] == word[n-2] && !strings.ContainsRune("aeioulsz", rune(word[n-1])) {
		return n - 1
	}
	return n
}
