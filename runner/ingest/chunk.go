package ingest

import (
	"cmp"
	"crypto/sha256"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sizes of chunks, in bytes. A definition with its comment stays whole up to
// chunkMax; a type or namespace with definitions inside is opened from chunkFull.
// Smaller pieces are gathered until they reach chunkMin, and then until a piece
// that likes to begin a chunk (see packer) or chunkFull.
const (
	chunkMin    = 1 << 10
	chunkFull   = 4 << 10
	chunkMax    = 8 << 10
	chunkSpread = 3 << 9 // mean distance of pieces that like to begin a chunk
)

// Chunk is a piece of a file's text that is searched and embedded as one.
type Chunk struct {
	Ordinal   int      // place in the file, from 0
	SymbolKey string   // Key of the innermost symbol that at least half of the chunk belongs to; may be empty
	Names     []string // names of the symbols that begin in the chunk, in order
	StartLine int      // 1-based
	EndLine   int      // 1-based, inclusive
	Text      string
	TextHash  TextHash
}

// SearchVector is what code.chunks.words holds for the chunk; see the function of
// the same name.
func (c *Chunk) SearchVector() string { return SearchVector(c.Text, c.Names...) }

// TextHash identifies a chunk's text: the first half of its SHA-256, which is
// far from any accidental collision and spares 16 bytes in four indexes.
type TextHash [16]byte

// HashText returns the hash under which a text's vector is stored.
func HashText(text string) TextHash {
	sum := sha256.Sum256([]byte(text))
	return TextHash(sum[:])
}

// Chunks cuts text, which must be UTF-8, into consecutive chunks: joined in order
// they are the text, byte for byte. An empty text has none. No chunk is larger
// than 8 kB.
//
// Cuts fall between definitions where possible, then between paragraphs, then
// before the least indented lines, and within a line only if it alone is too
// long. Where they fall depends on what stands at them rather than on offsets, so
// an edit changes the chunks that it touches and, seldom, one or two beside them.
// Symbols may come in any order; those outside the text are ignored.
func Chunks(text string, symbols []Symbol) []Chunk {
	symbols = within(text, symbols)
	c := cutter{text: text}
	c.span(0, len(text), symbols)
	chunks := pack(text, c.pieces)
	describe(text, chunks, symbols)
	return chunks
}

// within returns the symbols that lie inside the text, outer before inner.
func within(text string, symbols []Symbol) []Symbol {
	inside := make([]Symbol, 0, len(symbols))
	for _, s := range symbols {
		if 0 <= s.StartByte && s.StartByte < s.EndByte && s.EndByte <= len(text) {
			inside = append(inside, s)
		}
	}
	slices.SortStableFunc(inside, func(a, b Symbol) int {
		return cmp.Or(cmp.Compare(a.StartByte, b.StartByte), cmp.Compare(b.EndByte, a.EndByte))
	})
	return inside
}

// piece is a stretch of whole lines that a cut may precede; only parts of one
// overlong line are less than a line.
type piece struct {
	start, end int
	identity   uint32 // stays the same when something else is edited
}

// cutter divides a text into pieces no larger than chunkMax.
type cutter struct {
	text   string
	pieces []piece
}

func (c *cutter) add(start, end int, identity string) {
	if start < end {
		h := fnv.New32a()
		h.Write([]byte(identity))
		c.pieces = append(c.pieces, piece{start, end, h.Sum32()})
	}
}

// span divides the lines from start to end along symbols, which lie inside it.
func (c *cutter) span(start, end int, symbols []Symbol) {
	at := start
	for len(symbols) > 0 {
		s := symbols[0]
		inner := 1
		for inner < len(symbols) && symbols[inner].StartByte < s.EndByte {
			inner++
		}
		children := multiline(c.text, symbols[1:inner])
		symbols = symbols[inner:]

		from := max(at, c.withComment(at, s.StartByte))
		to := min(end, lineEnd(c.text, s.EndByte-1))
		if from >= to {
			continue // shares its line with the one before
		}
		c.gap(at, from)
		switch size := to - from; {
		case size > chunkFull && len(children) > 0:
			c.span(from, to, children)
		case size > chunkMax:
			c.paragraphs(from, to)
		default:
			c.add(from, to, s.Key)
		}
		at = to
	}
	c.gap(at, end)
}

// multiline keeps the symbols that are worth a cut of their own: a field or a
// constant on one line is not.
func multiline(text string, symbols []Symbol) []Symbol {
	var kept []Symbol
	for _, s := range symbols {
		if strings.Contains(text[s.StartByte:s.EndByte], "\n") {
			kept = append(kept, s)
		}
	}
	return kept
}

// withComment returns where the definition at start begins if the lines right
// above it (its comment, decorators, attributes) are taken in. Lines before floor
// and blank lines stop it; what is too long to be a comment is left alone.
func (c *cutter) withComment(floor, start int) int {
	first := lineStart(c.text, start)
	begin := first
	for begin > floor {
		above := lineStart(c.text, begin-1)
		if above < floor || isBlank(c.text[above:begin]) {
			break
		}
		if first-above > chunkFull {
			return first
		}
		begin = above
	}
	return begin
}

// gap divides what stands between definitions. Blank lines go with what they follow.
func (c *cutter) gap(start, end int) {
	if n := len(c.pieces); n > 0 {
		for start < end {
			next := lineEnd(c.text, start)
			if !isBlank(c.text[start:next]) || next-c.pieces[n-1].start > chunkMax {
				break
			}
			c.pieces[n-1].end, start = next, next
		}
	}
	c.paragraphs(start, end)
}

// paragraphs divides lines after each run of blank ones.
func (c *cutter) paragraphs(start, end int) {
	blank := false
	begin := start
	for at := start; at < end; {
		next := lineEnd(c.text, at)
		if isBlank(c.text[at:next]) {
			blank = true
		} else if blank {
			c.indented(begin, at)
			begin, blank = at, false
		}
		at = next
	}
	c.indented(begin, end)
}

// indented divides lines that are too many for a chunk before the least indented
// ones after the first, and does so again with what is still too large.
func (c *cutter) indented(start, end int) {
	if end-start <= chunkMax {
		c.add(start, end, c.text[start:end])
		return
	}
	second := lineEnd(c.text, start)
	if second >= end {
		c.line(start, end)
		return
	}
	least := -1
	for at := second; at < end; at = lineEnd(c.text, at) {
		if n := indentation(c.text[at:]); n >= 0 && (least < 0 || n < least) {
			least = n
		}
	}
	if least < 0 {
		c.line(start, end) // nothing but blank lines follows
		return
	}
	begin := start
	for at := second; at < end; at = lineEnd(c.text, at) {
		if n := indentation(c.text[at:]); n >= 0 && n <= least {
			c.indented(begin, at)
			begin = at
		}
	}
	c.indented(begin, end)
}

// line divides one line that is too long, where possible after something that is
// not part of a word.
func (c *cutter) line(start, end int) {
	for end-start > chunkMax {
		cut := start + chunkFull
		for range utf8.UTFMax - 1 {
			if utf8.RuneStart(c.text[cut]) {
				break
			}
			cut--
		}
		for back := cut; back > cut-maxWord; back-- {
			if b := c.text[back-1]; b < utf8.RuneSelf && asciiClass[b] == other {
				cut = back
				break
			}
		}
		c.add(start, cut, c.text[start:cut])
		start = cut
	}
	c.add(start, end, c.text[start:end])
}

// pack gathers pieces into chunks.
//
// Gathering up to a size alone would move every later cut when one piece grows.
// So a piece's identity decides whether it likes to begin a chunk, the more often
// the larger it is; cuts fall back in step at the next such piece. (The idea is
// that of content-defined chunking: Muthitacharoen et al., LBFS, 2001.)
func pack(text string, pieces []piece) []Chunk {
	var chunks []Chunk
	emit := func(start, end int) {
		chunks = append(chunks, Chunk{Ordinal: len(chunks), Text: text[start:end]})
	}
	start := 0
	for _, p := range pieces {
		gathered, size := p.start-start, p.end-p.start
		begins := uint64(p.identity)*chunkSpread < uint64(size)<<32
		switch {
		case gathered == 0:
		case p.end-start > chunkMax,
			gathered >= chunkMin && (begins || p.end-start > chunkFull):
			emit(start, p.start)
			start = p.start
		}
	}
	if start < len(text) {
		emit(start, len(text))
	}
	return chunks
}

// describe fills in what a chunk says about its text.
func describe(text string, chunks []Chunk, symbols []Symbol) {
	line, at, first := 1, 0, 0
	for i := range chunks {
		c := &chunks[i]
		end := at + len(c.Text)
		c.StartLine = line
		line += strings.Count(c.Text, "\n")
		c.EndLine = line
		if strings.HasSuffix(c.Text, "\n") {
			c.EndLine--
		}
		c.TextHash = HashText(c.Text)

		for first < len(symbols) && symbols[first].EndByte <= at {
			first++
		}
		var main *Symbol
		for j := first; j < len(symbols) && symbols[j].StartByte < end; j++ {
			s := &symbols[j]
			if s.StartByte >= at {
				c.Names = append(c.Names, s.Name)
			}
			covered := min(s.EndByte, end) - max(s.StartByte, at)
			if 2*covered >= len(c.Text) {
				main = s // inner symbols come after outer ones
			}
		}
		if main != nil {
			c.SymbolKey = main.Key
		}
		at = end
	}
}

// lineStart returns where the line that holds byte i begins.
func lineStart(text string, i int) int { return strings.LastIndexByte(text[:i], '\n') + 1 }

// lineEnd returns where the line that holds byte i ends, its line break included.
func lineEnd(text string, i int) int {
	if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(text)
}

func isBlank(line string) bool { return strings.TrimLeft(line, " \t\r\n\f\v") == "" }

// indentation returns the columns before the first character of a line, counting
// a tab as four; -1 for a blank line.
func indentation(line string) int {
	columns := 0
	for i := range len(line) {
		switch line[i] {
		case ' ':
			columns++
		case '\t':
			columns += 4
		case '\n', '\r':
			return -1
		default:
			return columns
		}
	}
	return -1
}
