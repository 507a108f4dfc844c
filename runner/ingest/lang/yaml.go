package lang

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

var _ = register(Language{
	Name:       "YAML",
	Aliases:    []string{"yml"},
	Extensions: []string{".yaml", ".yml", ".sublime-syntax", ".clang-format"},
	Filenames:  []string{".clang-format", ".clang-tidy", ".gemrc", "yarn.lock", "CITATION.cff", "pixi.lock"},
	Extract:    extractYAML,
})

// maxYAML and maxYAMLNesting bound what is given to the parser: it cannot be
// stopped and calls itself for each level.
const (
	maxYAML        = 1 << 20
	maxYAMLNesting = 200
	maxYAMLTokens  = 2000 // on one line
)

// extractYAML reads the keys of the first two levels of every document.
func extractYAML(_ context.Context, src Source) (Extraction, error) {
	f, ok := newDataFile(src)
	if !ok || len(src.Text) > maxYAML {
		return tooMuchData(src), nil
	}
	text := blankMark(src.Text)
	if reason := unreadableYAML(text); reason != "" {
		f.yamlLines(text)
		f.Partial(reason)
		return f.Extraction(), nil
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		offset, message := 0, err.Error()
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			message = syntax.Message
			if at := syntax.GetToken(); at != nil {
				offset = f.LineStart(at.Position.Line)
			}
		}
		f.invalid(offset, message)
		f.yamlLines(text)
		return f.Extraction(), nil
	}
	for i, document := range file.Docs {
		end := len(text)
		if i+1 < len(file.Docs) && file.Docs[i+1].Start != nil {
			end = f.LineStart(file.Docs[i+1].Start.Position.Line)
		}
		f.yaml(None, document.Body, end, 1)
	}
	return f.Extraction(), nil
}

// unreadableYAML says why a text must not be given to the parser: for its nesting,
// or because the time it takes grows with the square of the tokens on a line.
func unreadableYAML(text []byte) string {
	for line := range bytes.Lines(text) {
		openers := 0
		for openers < len(line) && bytes.IndexByte([]byte(" -?\t"), line[openers]) >= 0 {
			openers++
		}
		if openers > 2*maxYAMLNesting && len(bytes.TrimSpace(line)) > 0 {
			return fmt.Sprintf("nested deeper than %d levels", maxYAMLNesting)
		}
		tokens := 0
		for _, c := range line {
			if strings.IndexByte("\"'`*&!:,[]{}#|>?%@", c) >= 0 {
				tokens++
			}
		}
		if tokens > maxYAMLTokens {
			return fmt.Sprintf("a line of more than %d tokens", maxYAMLTokens)
		}
	}
	if nesting(text) > maxYAMLNesting {
		return fmt.Sprintf("nested deeper than %d levels", maxYAMLNesting)
	}
	return ""
}

// yaml adds the keys of a mapping that ends at an offset.
func (f *dataFile) yaml(parent Ref, node ast.Node, end, level int) {
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.AnchorNode:
		f.yaml(parent, n.Value, end, level)
	case *ast.TagNode:
		f.yaml(parent, n.Value, end, level)
	}
	starts := make([]int, len(values))
	for i, v := range values {
		starts[i] = f.yamlOffset(v.Key)
	}
	for i, v := range values {
		stop := end
		if i+1 < len(values) && starts[i+1] > starts[i] {
			stop = starts[i+1]
		}
		if starts[i] >= stop || v.Key.IsMergeKey() {
			continue
		}
		stop = dataEnd(f.src.Text, starts[i], stop)
		ref := f.key(parent, yamlName(v.Key), starts[i], stop)
		if level == 1 {
			f.yaml(ref, v.Value, stop, 2)
		}
	}
}

func yamlName(key ast.MapKeyNode) string {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value
	case *ast.MappingKeyNode:
		return strings.TrimSpace(strings.TrimPrefix(k.String(), "?"))
	}
	return key.GetToken().Value
}

// yamlOffset returns where a key begins. Columns count characters.
func (f *dataFile) yamlOffset(key ast.Node) int {
	at := key.GetToken().Position
	offset := f.LineStart(at.Line)
	rest := f.src.Text[offset:]
	for column := 1; column < at.Column && len(rest) > 0 && rest[0] != '\n'; column++ {
		_, size := utf8.DecodeRune(rest)
		offset, rest = offset+size, rest[size:]
	}
	return offset
}

var yamlKey = regexp.MustCompile(`^( *)("[^"\n]*"|'[^'\n]*'|[^\s#:{}\[\],&*!|>'"%@-][^:#{}\n]*):(?:[ \t\r]|$)`)

// yamlLines adds the keys of a document that is not valid, such as a template, by
// their indentation.
func (f *dataFile) yamlLines(text []byte) {
	type line struct {
		start, indent int
		name          string
	}
	var lines []line
	at, second := 0, 0
	for l := range bytes.Lines(text) {
		if m := yamlKey.FindSubmatch(bytes.TrimRight(l, "\n")); m != nil {
			if indent := len(m[1]); indent == 0 || second == 0 || indent == second {
				if indent > 0 {
					second = indent
				}
				lines = append(lines, line{at + indent, indent, strings.Trim(string(m[2]), `"' `)})
			}
		}
		at += len(l)
	}
	parent := None
	for i, l := range lines {
		end := len(text)
		for _, next := range lines[i+1:] {
			if next.indent <= l.indent {
				end = next.start - next.indent
				break
			}
		}
		end = dataEnd(text, l.start, end)
		if l.indent == 0 {
			parent = f.key(None, l.name, l.start, end)
		} else if parent != None {
			f.key(parent, l.name, l.start, end)
		}
	}
}
