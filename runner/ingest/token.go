package ingest

import (
	"strconv"
	"unicode/utf8"
)

// The words of a text, for the full-text index and for hash-v1 vectors. The same
// rules are written once more in SQL, as code.query_words, because a query is
// split where it is asked; a test holds the two together. The rules:
//
//  1. A run is a longest sequence of letters, digits and underscores. Letters are
//     those of ASCII and the characters of isLetter beyond it.
//  2. A run that begins with a digit is one word.
//  3. Any other run is one word without the underscores at its ends, and so is
//     each of its parts: what underscores, a change from lower to upper case, the
//     last capital before a lower-case letter, and a change between letters and
//     digits separate. HTTPServer_v2 has the words httpserver_v2, http, server, v, 2.
//  4. Runs joined by single hyphens, each beginning with a letter, are a word as
//     well: go-enry has the words go-enry, go, enry.
//  5. What is longer than maxWord bytes is no word, and a run that is too long has
//     no parts either: it is data (base64, a digest), which substring search finds.
//  6. Words are in lower case; those of ASCII letters alone lose an English ending
//     (see stemEnd), so that "reads" finds read. There are no stop words: "if" and
//     "for" mean something in code.

// maxWord is the length in bytes beyond which a run of letters and digits is
// taken for data. PostgreSQL itself ignores words of 2,047 bytes and more.
const maxWord = 128

const (
	maxPosition        = 16383 // what a tsvector can express
	maxPositionsOfWord = 8     // ts_rank adds 1/n² for the nth; more changed no ranking that was measured
)

// Words returns the words of text in order, repetitions included. A compound
// comes before the identifiers in it, an identifier before its parts.
func Words(text string) []string {
	words := make([]string, 0, len(text)/5)
	s := newScanner(text)
	for s.next() {
		for _, w := range s.found {
			words = append(words, s.word(w))
		}
	}
	return words
}

// SearchVector renders the words of text as a tsvector literal with positions, in
// which an identifier shares the position of its first part. The words of names
// (the symbols that the text defines) carry weight A where they first occur, so
// that a definition can rank above a use.
//
// The literal needs no escaping: a word holds only letters, digits, underscores
// and hyphens. A text of up to 64 kB stays far below PostgreSQL's limit of 1 MB
// for a tsvector.
func SearchVector(text string, names ...string) string {
	type occurrence struct {
		position uint16
		next     int32 // of the same word; 0 for the last
	}
	type entry struct {
		word        string
		first, last int32
		count       int32
		defined     bool
	}
	var (
		s           = newScanner(text)
		index       = make(map[string]int32, len(text)/16)
		entries     = make([]entry, 0, len(text)/16)
		occurrences = make([]occurrence, 1, len(text)/5+1)
		position    int
		size        int
	)
	for s.next() {
		for _, w := range s.found {
			word := s.word(w)
			i, ok := index[word]
			if !ok {
				i = int32(len(entries))
				index[word] = i
				entries = append(entries, entry{word: word})
				size += len(word) + len("'':A ")
			}
			e := &entries[i]
			at := uint16(min(position+w.part+1, maxPosition))
			if e.count == maxPositionsOfWord || e.count > 0 && occurrences[e.last].position == at {
				continue
			}
			here := int32(len(occurrences))
			occurrences = append(occurrences, occurrence{position: at})
			if e.count == 0 {
				e.first = here
			} else {
				occurrences[e.last].next = here
			}
			e.last = here
			e.count++
			size += len("16383,")
		}
		position += s.parts
	}
	for _, name := range names {
		for _, word := range Words(name) {
			if i, ok := index[word]; ok {
				entries[i].defined = true
			}
		}
	}

	literal := make([]byte, 0, size)
	for i, e := range entries {
		if i > 0 {
			literal = append(literal, ' ')
		}
		literal = append(literal, '\'')
		literal = append(literal, e.word...)
		literal = append(literal, '\'', ':')
		for o := e.first; o != 0; o = occurrences[o].next {
			if o != e.first {
				literal = append(literal, ',')
			}
			literal = strconv.AppendUint(literal, uint64(occurrences[o].position), 10)
			if o == e.first && e.defined {
				literal = append(literal, 'A')
			}
		}
	}
	return string(literal)
}

// scanner yields the compounds of a text, each with the words found in it.
type scanner struct {
	folded  string  // the text in lower case, byte for byte as long
	classes []class // of the character that each byte belongs to
	at      int
	found   []span
	parts   int // positions that the compound takes up
}

// span is one word: where it stands, and at which part of its compound it begins.
type span struct{ start, end, part int }

// word returns a word as it is indexed.
func (s *scanner) word(w span) string {
	word := s.folded[w.start:w.end]
	return word[:stemEnd(word)]
}

// next moves to the next compound that holds a word and reports whether there is one.
func (s *scanner) next() bool {
	for s.at < len(s.classes) {
		if s.classes[s.at] == other {
			s.at++
			continue
		}
		s.found, s.parts = s.found[:0], 0
		if s.classes[s.at] == digit {
			end := s.runEnd(s.at)
			s.add(s.at, end)
			s.parts, s.at = 1, end
		} else {
			s.compound()
		}
		if len(s.found) > 0 {
			return true
		}
	}
	return false
}

// compound reads the runs that hyphens join, beginning at s.at.
func (s *scanner) compound() {
	start, end := s.at, s.runEnd(s.at)
	first := end
	if s.classes[start] != under {
		for end+1 < len(s.folded) && s.folded[end] == '-' && s.classes[end+1].isLetter() {
			end = s.runEnd(end + 1)
		}
	}
	s.at = end
	if first < end {
		s.add(start, s.trimEnd(start, end))
	}
	for start < end {
		s.run(start, first)
		start = first + 1 // past the hyphen
		first = s.runEnd(start)
	}
}

// run adds one identifier and its parts.
func (s *scanner) run(start, end int) {
	for start < end && s.classes[start] == under {
		start++
	}
	end = s.trimEnd(start, end)
	if start == end || end-start > maxWord {
		return
	}
	whole := len(s.found)
	s.add(start, end)
	for at := start; at < end; {
		if s.classes[at] == under {
			at++
			continue
		}
		stop := s.partEnd(at, end)
		if at == start && stop == end {
			s.found = s.found[:whole] // the only part is the identifier itself
		}
		s.add(at, stop)
		s.parts++
		at = stop
	}
}

// partEnd returns where the part that begins at start ends.
func (s *scanner) partEnd(start, end int) int {
	first, at := s.classes[start], start
	for at < end && s.classes[at] == first {
		at++
	}
	if first != upper || at == end || s.classes[at] != lower {
		return at
	}
	last := at - 1 // of the capitals
	for !utf8.RuneStart(s.folded[last]) {
		last--
	}
	if last > start {
		return last
	}
	for at < end && s.classes[at] == lower {
		at++
	}
	return at
}

func (s *scanner) add(start, end int) {
	if end-start <= maxWord {
		s.found = append(s.found, span{start, end, s.parts})
	}
}

// runEnd returns where the run that begins at start ends.
func (s *scanner) runEnd(start int) int {
	for start < len(s.classes) && s.classes[start] != other {
		start++
	}
	return start
}

// trimEnd returns end without the underscores before it.
func (s *scanner) trimEnd(start, end int) int {
	for end > start && s.classes[end-1] == under {
		end--
	}
	return end
}

// newScanner classifies and folds text. Folding keeps each character's length, so
// that places in the folded text are places in the text.
func newScanner(text string) *scanner {
	folded := []byte(text)
	classes := make([]class, len(text))
	for i := 0; i < len(text); {
		if b := text[i]; b < utf8.RuneSelf {
			classes[i], folded[i] = asciiClass[b], asciiFold[b]
			i++
			continue
		}
		r, width := utf8.DecodeRuneInString(text[i:])
		c, l := classify(r)
		if l != r {
			utf8.EncodeRune(folded[i:], l)
		}
		for range width {
			classes[i] = c
			i++
		}
	}
	return &scanner{folded: string(folded), classes: classes}
}
