package secret

// words finds any of a set of words of at least four bytes, in either case of ASCII
// letters, in one pass that looks at about every other byte (Wu and Manber, 1994).
type words struct {
	// shift says, for the last two bytes of a window of four, how far the window can
	// move without passing over the beginning of a word; 0 where one may end here.
	shift  [1 << 16]uint8
	starts map[uint32][]string // words by their first four bytes, in lower case
	places map[string]int
}

const window = 4

func newWords(all []string) *words {
	w := &words{starts: map[uint32][]string{}, places: map[string]int{}}
	for i := range w.shift {
		w.shift[i] = window - 1
	}
	for place, word := range all {
		start := folded(word[0], word[1], word[2], word[3])
		w.starts[start], w.places[word] = append(w.starts[start], word), place
		for i := range window - 1 {
			for _, a := range cases(word[i]) {
				for _, b := range cases(word[i+1]) {
					pair := int(a)<<8 | int(b)
					w.shift[pair] = min(w.shift[pair], uint8(window-2-i))
				}
			}
		}
	}
	return w
}

// each calls f for every word in the text, in order of where they begin.
func (w *words) each(text []byte, f func(word, at int)) {
	for i := window - 1; i < len(text); {
		shift := w.shift[int(text[i-1])<<8|int(text[i])]
		if shift > 0 {
			i += int(shift)
			continue
		}
		at := i - window + 1
		for _, word := range w.starts[folded(text[at], text[at+1], text[at+2], text[at+3])] {
			if hasFold(text[at:], word) {
				f(w.places[word], at)
			}
		}
		i++
	}
}

// folded packs four bytes, letters in lower case. Other bytes that differ in that one
// bit only are told apart by hasFold.
func folded(a, b, c, d byte) uint32 {
	return uint32(a)<<24 | uint32(b)<<16 | uint32(c)<<8 | uint32(d) | 0x20202020
}

func hasFold(text []byte, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// cases are a byte and, of a lower case letter, its capital.
func cases(c byte) []byte {
	if 'a' <= c && c <= 'z' {
		return []byte{c, c &^ 0x20}
	}
	return []byte{c}
}
