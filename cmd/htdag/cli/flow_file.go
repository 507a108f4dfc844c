package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// definition is one flow as a file defines it.
type definition struct {
	file string
	name string // of the flow
	spec json.RawMessage
	line func(step, option string) int // where the flow, a step or an option of it is written
}

// readDefinitions reads the documents of a file, or of standard input when it is "-".
// Files that end in .json hold JSON, one document after another; others hold YAML.
func (a *app) readDefinitions(file string) ([]definition, error) {
	var text []byte
	var err error
	if file == "-" {
		text, err = io.ReadAll(a.stdin)
		file = "standard input"
	} else {
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	read := readYAML
	if strings.EqualFold(filepath.Ext(file), ".json") {
		read = readJSON
	}
	definitions, err := read(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", file, err)
	}
	if len(definitions) == 0 {
		return nil, fmt.Errorf("%s: it holds no flow", file)
	}
	for i := range definitions {
		d := &definitions[i]
		d.file = file
		var head struct{ Flow any }
		if err := json.Unmarshal(d.spec, &head); err != nil {
			return nil, fmt.Errorf("%s:%d: this is no flow, which has a name under \"flow\" and a list of \"steps\"", file, d.line("", ""))
		}
		d.name, _ = head.Flow.(string)
	}
	return definitions, nil
}

// readYAML reads documents that are set apart by lines of "---".
func readYAML(text []byte) ([]definition, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	var definitions []definition
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		ast.Walk(mergesFirst{}, doc.Body)
		var value any
		if err := yaml.NodeToValue(doc.Body, &value); err != nil {
			return nil, yamlError(err)
		}
		line := doc.Body.GetToken().Position.Line
		if m, ok := doc.Body.(*ast.MappingNode); ok && len(m.Values) > 0 {
			line = m.Values[0].Key.GetToken().Position.Line
		}
		spec, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%d: this cannot be written as JSON: %w", line, err)
		}
		definitions = append(definitions, definition{spec: spec, line: func(step, option string) int {
			return yamlLine(doc.Body, line, step, option)
		}})
	}
	return definitions, nil
}

// mergesFirst moves merge keys (<<) before the other keys of their mappings: what is
// written out wins over what is merged, wherever it stands, but the parser lets the
// last win.
type mergesFirst struct{}

func (v mergesFirst) Visit(node ast.Node) ast.Visitor {
	if m, ok := node.(*ast.MappingNode); ok {
		slices.SortStableFunc(m.Values, func(a, b *ast.MappingValueNode) int {
			rank := func(v *ast.MappingValueNode) int {
				if v.Key.IsMergeKey() {
					return 0
				}
				return 1
			}
			return rank(a) - rank(b)
		})
	}
	return v
}

// yamlError begins a parser's message with the line that it is about.
func yamlError(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return fmt.Errorf("%d: %s", at.GetToken().Position.Line, at.GetMessage())
	}
	return fmt.Errorf(" %w", err)
}

// yamlLine finds a step by its name, or an option of it, in a document.
func yamlLine(document ast.Node, line int, step, option string) int {
	inside := fields(document)
	if step != "" {
		steps, _ := plain(inside["steps"].value).(*ast.SequenceNode)
		inside = nil
		for i := 0; steps != nil && i < len(steps.Values); i++ {
			of := fields(steps.Values[i])
			if name, ok := plain(of["name"].value).(ast.ScalarNode); ok && fmt.Sprint(name.GetValue()) == step {
				inside, line = of, of["name"].line
			}
		}
	}
	if at, ok := inside[option]; ok {
		return at.line
	}
	return line
}

type field struct {
	value ast.Node
	line  int
}

// plain is a node without the anchor that it may have.
func plain(node ast.Node) ast.Node {
	if anchor, ok := node.(*ast.AnchorNode); ok {
		return anchor.Value
	}
	return node
}

func fields(node ast.Node) map[string]field {
	m, ok := plain(node).(*ast.MappingNode)
	if !ok {
		return nil
	}
	found := map[string]field{}
	for _, v := range m.Values {
		found[v.Key.String()] = field{v.Value, v.Key.GetToken().Position.Line}
	}
	return found
}

// readJSON reads documents that follow one another.
func readJSON(text []byte) ([]definition, error) {
	lineAt := func(offset int64) int { return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n")) }
	decoder := json.NewDecoder(bytes.NewReader(text))
	var definitions []definition
	for {
		var spec json.RawMessage
		err := decoder.Decode(&spec)
		if errors.Is(err, io.EOF) {
			return definitions, nil
		}
		if err != nil {
			offset := decoder.InputOffset()
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				offset = syntax.Offset
			} else if errors.Is(err, io.ErrUnexpectedEOF) {
				offset = int64(len(text))
			}
			return nil, fmt.Errorf("%d: %w", lineAt(offset), err)
		}
		begin := decoder.InputOffset() - int64(len(spec))
		definitions = append(definitions, definition{spec: spec, line: func(step, option string) int {
			return lineAt(begin + int64(jsonOffset(spec, step, option)))
		}})
	}
}

// jsonOffset finds a step by its name, or an option of it, in the text of a document.
func jsonOffset(spec []byte, step, option string) int {
	offset := 0
	if step != "" {
		at := regexp.MustCompile(`"name"\s*:\s*"` + regexp.QuoteMeta(step) + `"`).FindIndex(spec)
		if at == nil {
			return 0
		}
		offset = at[0]
	}
	if option != "" {
		if at := regexp.MustCompile(regexp.QuoteMeta(fmt.Sprintf("%q", option)) + `\s*:`).FindIndex(spec[offset:]); at != nil {
			offset += at[0]
		}
	}
	return offset
}

var (
	stepNamed   = regexp.MustCompile(`(?:step "|has a cycle: )([^" ]+)`)
	optionNamed = regexp.MustCompile(`the unknown option "([^"]+)"`)
)

// located begins an error of the engine about a definition with the place that it
// speaks of.
func (d definition) located(err error) error {
	name := func(named *regexp.Regexp) string {
		if m := named.FindStringSubmatch(err.Error()); m != nil {
			return m[1]
		}
		return ""
	}
	return fmt.Errorf("%s:%d: %w", d.file, d.line(name(stepNamed), name(optionNamed)), err)
}
