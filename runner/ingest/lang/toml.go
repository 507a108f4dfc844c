package lang

import (
	"context"
	"errors"
	"path"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

var _ = register(Language{
	Name:       "TOML",
	Extensions: []string{".toml"},
	Filenames:  []string{"Cargo.lock", "poetry.lock", "uv.lock", "pdm.lock", "Pipfile", "Gopkg.lock"},
	Extract:    extractTOML,
})

// maxTOMLNesting bounds arrays in arrays, which the decoder reads recursively.
const maxTOMLNesting = 1000

// extractTOML reads expression after expression, so that what stands before an
// error is kept.
func extractTOML(_ context.Context, src Source) (Extraction, error) {
	f, ok := newDataFile(src)
	if !ok {
		return tooMuchData(src), nil
	}
	text := blankMark(src.Text)
	if nesting(text) > maxTOMLNesting {
		return Lines(src, "nested too deeply to be decoded"), nil
	}
	f.toml(text)
	var document map[string]any
	if err := toml.Unmarshal(text, &document); err != nil {
		offset, message := 0, err.Error()
		var decode *toml.DecodeError
		if errors.As(err, &decode) {
			line, _ := decode.Position()
			offset = f.LineStart(line)
		}
		f.invalid(offset, strings.TrimPrefix(message, "toml: "))
	}
	f.tomlManifest(document)
	f.tomlRequirements(text)
	return f.Extraction(), nil
}

// nesting returns how many brackets are open at most, strings not considered.
func nesting(text []byte) int {
	depth, deepest := 0, 0
	for _, c := range text {
		switch c {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// tomlEntry is one key with its value, or the header of a table.
type tomlEntry struct {
	names  []string
	start  int
	header bool
}

// toml adds tables, the keys in tables of the first level, and the keys before
// any table. A table reaches to the next header.
func (f *dataFile) toml(text []byte) {
	var entries []tomlEntry
	var p unstable.Parser
	p.Reset(text)
	for p.NextExpression() {
		expression := p.Expression()
		entry := tomlEntry{start: -1, header: expression.Kind != unstable.KeyValue}
		for key := expression.Key(); key.Next(); {
			if entry.start < 0 {
				entry.start = int(key.Node().Raw.Offset)
			}
			entry.names = append(entry.names, string(key.Node().Data))
		}
		for entry.header && entry.start > 0 && text[entry.start-1] != '\n' {
			entry.start--
		}
		entries = append(entries, entry)
	}

	stop := len(text) // where the parser went
	var syntax *unstable.ParserError
	if errors.As(p.Error(), &syntax) && len(syntax.Highlight) > 0 {
		stop = max(int(p.Range(syntax.Highlight).Offset), 0)
		for stop > 0 && text[stop-1] != '\n' {
			stop--
		}
	}
	table, tableLevel := None, 0
	last, lastName := None, "" // of the keys before any table, where dotted ones share their first part
	for i, e := range entries {
		end := max(stop, e.start)
		for _, next := range entries[i+1:] {
			if !e.header || next.header {
				end = next.start
				break
			}
		}
		end = dataEnd(text, e.start, end)
		switch {
		case e.header:
			table, tableLevel = f.key(None, e.names[len(e.names)-1], e.start, end), len(e.names)
			if tableLevel > 1 {
				f.At(table).Kind = KindField
				f.At(table).QualifiedName = Clip(strings.Join(e.names, "."), MaxQualifiedName)
			}
		case tableLevel > 1:
		case table != None:
			f.key(table, e.names[0], e.start, end)
		default:
			if last == None || lastName != e.names[0] {
				last, lastName = f.key(None, e.names[0], e.start, end), e.names[0]
			}
			s := f.At(last)
			s.EndByte, s.EndLine = end, f.Line(max(end-1, e.start))
			if len(e.names) > 1 {
				f.key(last, e.names[1], e.start, end)
			}
		}
	}
}

// tomlManifest reads what a Cargo.toml or pyproject.toml says about its package.
func (f *dataFile) tomlManifest(document map[string]any) {
	text := func(keys ...string) string {
		at := document
		for _, key := range keys[:len(keys)-1] {
			at, _ = at[key].(map[string]any)
		}
		s, _ := at[keys[len(keys)-1]].(string)
		return s
	}
	switch path.Base(f.src.Path) {
	case "Cargo.toml":
		name := text("package", "name")
		if name == "" {
			return
		}
		f.Module(name, text("package", "description"))
		// Code writes the crate's name with underscores.
		f.Root("rs:"+strings.ReplaceAll(name, "-", "_"), f.directory())
		if library := text("lib", "name"); library != "" && library != name {
			f.Root("rs:"+library, f.directory())
		}
	case "pyproject.toml":
		for _, at := range [][]string{{"project"}, {"tool", "poetry"}} {
			if name := text(append(at, "name")...); name != "" {
				f.Module(name, text(append(at, "description")...))
				return
			}
		}
	}
}
