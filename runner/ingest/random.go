package ingest

// Text that cannot be told from random (base64, certificates, digests) has hardly a
// trigram or a word twice. Each becomes an entry of its own in the search indexes, and
// storing a file of 60 kB then takes as long as storing a hundred of code.
const (
	randomWindow = 16 << 10 // what is judged at once: more would make any text repeat itself
	randomLeast  = 8 << 10  // less than that costs little
	randomSample = 1 << 20
)

// Random says whether most of a text looks random: in most windows of it more than
// seven of ten trigrams of ASCII letters and digits, in whatever case, are the first of
// their kind. Of random base64 nine in ten are; of code, prose, tables of numbers and
// lists of UUIDs at most six.
func Random(text []byte) bool {
	text = text[:min(len(text), randomSample)]
	windows, random := 0, 0
	var seen [1 << 18 / 64]uint64
	for len(text) >= randomLeast {
		window := text[:min(len(text), randomWindow)]
		text = text[len(window):]
		windows++
		clear(seen[:])
		var trigram, run uint32
		trigrams, distinct := 0, 0
		for _, c := range window {
			class := foldedClass[c]
			if class == 0 {
				run = 0
				continue
			}
			run++
			trigram = (trigram<<6 | uint32(class)) & (1<<18 - 1)
			if run < 3 {
				continue
			}
			trigrams++
			if bit := uint64(1) << (trigram & 63); seen[trigram>>6]&bit == 0 {
				seen[trigram>>6] |= bit
				distinct++
			}
		}
		if 2*trigrams > len(window) && 10*distinct > 7*trigrams {
			random++
		}
	}
	return 2*random > windows
}

// foldedClass numbers letters, both cases alike, and digits from 1; 0 is anything else.
var foldedClass = func() (class [256]uint8) {
	for i := range 26 {
		class['a'+i], class['A'+i] = uint8(1+i), uint8(1+i)
	}
	for i := range 10 {
		class['0'+i] = uint8(27 + i)
	}
	return class
}()
