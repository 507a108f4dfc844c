package lang

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"strings"
)

var (
	_ = register(Language{
		Name:       "JSON",
		Extensions: []string{".json", ".jsonl", ".ndjson", ".geojson", ".webmanifest", ".har", ".avsc", ".topojson", ".ipynb"},
		Filenames:  []string{".babelrc", ".prettierrc", ".watchmanconfig", "composer.lock", "flake.lock", "Pipfile.lock", "package-lock.json", "deno.lock"},
		Extract:    extractJSON,
	})
	_ = register(Language{
		Name: "JSON with Comments", Aliases: []string{"jsonc"},
		Extensions: []string{".jsonc", ".code-workspace", ".sublime-project", ".sublime-settings", ".code-snippets"},
		Filenames:  []string{"tsconfig.json", "jsconfig.json", ".eslintrc.json", ".eslintrc", "devcontainer.json", "tslint.json", "api-extractor.json", "language-configuration.json", "bun.lock"},
		Extract:    extractJSON,
	})
)

// extractJSON reads a document of any depth in one pass. What is no strict JSON
// for comments or trailing commas alone is read nevertheless.
func extractJSON(_ context.Context, src Source) (Extraction, error) {
	f, ok := newDataFile(src)
	if !ok {
		return tooMuchData(src), nil
	}
	text := blankMark(src.Text)
	if src.Language == "JSON with Comments" {
		text = strictJSON(text)
	}
	f.manifest(text)
	err := f.json(text)
	if err == nil {
		return f.Extraction(), nil
	}
	f.invalidJSON(err)
	if lenient := strictJSON(text); !bytes.Equal(lenient, text) {
		second, _ := newDataFile(src)
		if second.json(lenient) == nil {
			second.manifest(lenient)
			second.invalidJSON(err)
			return second.Extraction(), nil
		}
	}
	return f.Extraction(), nil
}

func (f *dataFile) invalidJSON(err error) {
	var syntax *json.SyntaxError
	offset := len(f.src.Text)
	if errors.As(err, &syntax) {
		offset = int(syntax.Offset) - 1
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("unexpected end of the document")
	}
	f.invalid(offset, err.Error())
}

// json adds the keys of the document's first two levels.
func (f *dataFile) json(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := f.jsonValue(decoder, text, None, 0); err != nil {
		return err
	}
	many := strings.HasSuffix(f.src.Path, "l") || strings.HasSuffix(f.src.Path, ".ndjson") // one document a line
	for {
		at := int(decoder.InputOffset())
		if _, err := decoder.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		} else if !many {
			f.invalid(skipJSONSpace(text, at), "more text after the document")
			return nil
		}
	}
}

// jsonValue reads one value. Below the second level it only counts brackets.
func (f *dataFile) jsonValue(decoder *json.Decoder, text []byte, parent Ref, level int) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') || level == 2 {
		if _, opens := token.(json.Delim); opens {
			return skipJSON(decoder)
		}
		return nil
	}
	for {
		before := int(decoder.InputOffset())
		if token, err = decoder.Token(); err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return nil // the closing brace
		}
		ref := f.key(parent, name, skipJSONSpace(text, before), int(decoder.InputOffset()))
		err := f.jsonValue(decoder, text, ref, level+1)
		s := f.At(ref)
		*s = f.extended(*s, int(decoder.InputOffset()))
		if err != nil {
			return err
		}
	}
}

// extended gives a key its value's end and what stands on its first line.
func (f *dataFile) extended(s Symbol, end int) Symbol {
	text := f.src.Text[s.StartByte:end]
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		text = text[:n]
	}
	s.EndByte, s.EndLine = end, f.Line(max(s.StartByte, end-1))
	s.Signature = FoldSignature(string(text[:min(len(text), 2*MaxSignature)]))
	return s
}

// skipJSON reads to the end of the array or object that was opened.
func skipJSON(decoder *json.Decoder) error {
	for depth := 1; depth > 0; {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// skipJSONSpace goes over what may stand before a key or a second document.
func skipJSONSpace(text []byte, at int) int {
	for at < len(text) && strings.IndexByte(" \t\r\n,", text[at]) >= 0 {
		at++
	}
	return at
}

// strictJSON blanks comments and trailing commas, keeping every offset.
func strictJSON(text []byte) []byte {
	out := append([]byte(nil), text...)
	comma := -1 // offset of a comma after which only blanks and comments came
	for i := 0; i < len(out); i++ {
		switch c := out[i]; {
		case c == '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"' && out[i] != '\n'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case c == '/' && hasPrefix(out[i:], "//"):
			end := i + lineLength(out[i:])
			blank(out[i:end])
			i = end - 1
		case c == '/' && hasPrefix(out[i:], "/*"):
			end := len(out)
			if n := bytes.Index(out[i+2:], []byte("*/")); n >= 0 {
				end = i + 2 + n + 2
			}
			blank(out[i:end])
			i = end - 1
		case c == ',':
			comma = i
		case c == '}' || c == ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case c > ' ':
			comma = -1
		}
	}
	return out
}

// manifest reads what a package.json or tsconfig.json says about import names.
func (f *dataFile) manifest(text []byte) {
	base := path.Base(f.src.Path)
	f.jsonRequirements(base, text)
	switch {
	case base == "package.json":
		var manifest struct {
			Name        string
			Description string
		}
		if json.Unmarshal(text, &manifest) == nil && manifest.Name != "" {
			f.Module(manifest.Name, manifest.Description)
			f.Root("js:"+manifest.Name, f.directory())
		}
	case strings.HasPrefix(base, "tsconfig") || base == "jsconfig.json":
		var config struct {
			CompilerOptions struct {
				BaseURL string
				Paths   map[string][]string
			}
		}
		if json.Unmarshal(text, &config) != nil {
			return
		}
		for name, targets := range sortedMap(config.CompilerOptions.Paths) {
			if len(targets) == 0 || strings.Trim(name, "*/") == "" {
				continue
			}
			target := path.Join(config.CompilerOptions.BaseURL, strings.TrimSuffix(targets[0], "*"))
			if !strings.HasSuffix(name, "*") {
				target = strings.TrimSuffix(target, path.Ext(target))
			}
			if directory := Near(f.src.Path, target); directory != "" || path.Join(path.Dir(f.src.Path), target) == "." {
				f.Root("js:"+strings.TrimRight(name, "*/"), directory)
			}
		}
	}
}
