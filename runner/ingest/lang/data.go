package lang

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// What the data formats share: the keys of a document's first two levels are its
// symbols, and some documents are the manifests of packages.

// maxData is the most that is decoded of one document, in bytes.
const maxData = 1 << 20

// dataFile is one document under extraction.
type dataFile struct {
	*Builder
	src Source
}

// newDataFile begins the extraction of a document; false where it is too large.
func newDataFile(src Source) (*dataFile, bool) {
	return &dataFile{NewBuilder(src, "decoder"), src}, len(src.Text) <= maxData
}

func tooMuchData(src Source) Extraction {
	return Lines(src, fmt.Sprintf("larger than the %d bytes that are decoded", maxData))
}

// key adds a key with its value: a variable at the top level, a field below it.
func (f *dataFile) key(parent Ref, name string, start, end int) Ref {
	if name == "" {
		name = `""`
	}
	kind := KindVariable
	if parent != None {
		kind = KindField
	}
	text := f.src.Text[start:max(start, end)]
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		text = text[:n]
	}
	return f.Symbol(parent, Symbol{
		Kind: kind, Name: name, Exported: true, StartByte: start, EndByte: end,
		Signature: strings.TrimRight(string(text[:min(len(text), 2*MaxSignature)]), " \t\r,"),
	})
}

// invalid records a syntax error at an offset.
func (f *dataFile) invalid(offset int, message string) {
	f.Errors(1)
	line := f.Line(min(max(offset, 0), len(f.src.Text)))
	f.Partial(fmt.Sprintf("syntax error in line %d: %s", line, message))
}

// directory is the document's own, as roots name it.
func (f *dataFile) directory() string {
	if dir := path.Dir(f.src.Path); dir != "." {
		return dir
	}
	return ""
}

// blankMark returns the text with a leading byte order mark blanked, which the
// decoders do not expect.
func blankMark(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) {
		return text
	}
	return append([]byte("   "), text[3:]...)
}

// dataEnd takes blank lines and comments off the end of a range.
func dataEnd(text []byte, start, end int) int {
	for end > start {
		line := end
		for line > start && text[line-1] != '\n' {
			line--
		}
		if rest := strings.TrimSpace(string(text[line:end])); rest != "" && rest[0] != '#' || line == start {
			for end > start && text[end-1] <= ' ' {
				end--
			}
			return end
		}
		end = line - 1
	}
	return end
}

// sortedMap goes through a map in order of its keys.
func sortedMap[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
