// Package langtest is the yardstick for extractors: a readable form of an
// extraction for golden files, and the promises that every extraction keeps.
package langtest

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// Format writes an extraction as text, one finding per line.
func Format(ex lang.Extraction) string {
	var w strings.Builder
	fmt.Fprintf(&w, "parser %s\n", ex.Parser)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&w, "%s %s\n", name, indented(value))
		}
	}
	line("module", ex.Module)
	line("doc", ex.Doc)
	for _, p := range ex.Provides {
		line("provides", p)
	}
	for _, r := range ex.Roots {
		fmt.Fprintf(&w, "root %s -> %q\n", r.Prefix, r.Directory)
	}
	if ex.ParseErrors > 0 {
		fmt.Fprintf(&w, "errors %d\n", ex.ParseErrors)
	}
	line("partial", ex.Partial)
	for _, i := range ex.Imports {
		fmt.Fprintf(&w, "import %d %s", i.Line, i.Module)
		if i.Alias != "" {
			fmt.Fprintf(&w, " as %s", i.Alias)
		}
		if len(i.Names) > 0 {
			fmt.Fprintf(&w, " {%s}", strings.Join(i.Names, ", "))
		}
		if len(i.Exports) > 0 {
			fmt.Fprintf(&w, " exports %s", strings.Join(i.Exports, ", "))
		}
		if len(i.Seeks) > 0 {
			fmt.Fprintf(&w, " seeks %s", strings.Join(i.Seeks, " "))
		}
		w.WriteByte('\n')
	}
	for _, r := range ex.Requirements {
		fmt.Fprintf(&w, "requires %d %s %s %s", r.Line, r.Kind, r.Ecosystem, r.Name)
		if r.Version != "" {
			fmt.Fprintf(&w, " %q", r.Version)
		}
		w.WriteByte('\n')
	}
	for _, s := range ex.Symbols {
		fmt.Fprintf(&w, "symbol %s %d-%d", s.Key, s.StartLine, s.EndLine)
		if !strings.HasSuffix(s.QualifiedName, s.Name) {
			fmt.Fprintf(&w, " name %s", s.Name)
		}
		if s.ParentKey != "" {
			fmt.Fprintf(&w, " in %s", s.ParentKey)
		}
		if s.Exported {
			w.WriteString(" exported")
		}
		if s.Complexity > 0 {
			fmt.Fprintf(&w, " complexity %d", s.Complexity)
		}
		w.WriteByte('\n')
		line("  signature", s.Signature)
		line("  doc", s.Doc)
	}
	for _, c := range ex.Calls {
		callee := c.Name
		if c.Qualifier != "" {
			callee = c.Qualifier + " . " + c.Name
		}
		caller := c.CallerKey
		if caller == "" {
			caller = "-"
		}
		fmt.Fprintf(&w, "call %d %s -> %s", c.Line, caller, callee)
		if c.QualifierType != "" {
			fmt.Fprintf(&w, " on %s", c.QualifierType)
		}
		w.WriteByte('\n')
	}
	return w.String()
}

func indented(s string) string { return strings.ReplaceAll(s, "\n", "\n    | ") }

// Problems lists the promises of lang.Extraction that ex, taken from text, breaks.
func Problems(text []byte, ex lang.Extraction) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	str := func(what, s string, limit int) {
		if len(s) > limit {
			bad("%s has %d bytes, more than %d", what, len(s), limit)
		}
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			bad("%s %q cannot be stored as text", what, s)
		}
	}
	lines := bytes.Count(text, []byte{'\n'}) + 1
	lineAt := func(offset int) int { return bytes.Count(text[:offset], []byte{'\n'}) + 1 }

	if ex.Parser == "" {
		bad("no parser named")
	}
	str("partial", ex.Partial, lang.MaxSignature)
	str("module", ex.Module, lang.MaxQualifiedName)
	str("doc", ex.Doc, lang.MaxDoc)

	byKey := map[string]lang.Symbol{}
	last := -1
	for _, s := range ex.Symbols {
		if _, taken := byKey[s.Key]; taken {
			bad("key %q repeated", s.Key)
		}
		switch s.Kind {
		case lang.KindFunction, lang.KindMethod, lang.KindClass, lang.KindStruct, lang.KindInterface, lang.KindTrait, lang.KindEnum,
			lang.KindType, lang.KindConstant, lang.KindVariable, lang.KindField, lang.KindModule, lang.KindMacro:
		default:
			bad("%q: unknown kind %q", s.Key, s.Kind)
		}
		if s.Name == "" || s.QualifiedName == "" {
			bad("%q: no name", s.Key)
		}
		str("name", s.Name, lang.MaxName)
		str("qualified name", s.QualifiedName, lang.MaxQualifiedName)
		str("signature", s.Signature, lang.MaxSignature)
		str("doc", s.Doc, lang.MaxDoc)
		if strings.ContainsAny(s.Signature, "\n\r\t") {
			bad("%q: signature has more than one line", s.Key)
		}
		if s.StartByte < 0 || s.EndByte < s.StartByte || s.EndByte > len(text) {
			bad("%q: bytes %d-%d outside text of %d", s.Key, s.StartByte, s.EndByte, len(text))
			continue
		}
		if s.StartByte < last {
			bad("%q: out of order", s.Key)
		}
		last = s.StartByte
		if want := lineAt(s.StartByte); s.StartLine != want {
			bad("%q: starts at line %d, said %d", s.Key, want, s.StartLine)
		}
		if want := lineAt(max(s.StartByte, s.EndByte-1)); s.EndLine != want {
			bad("%q: ends at line %d, said %d", s.Key, want, s.EndLine)
		}
		if s.ParentKey != "" {
			p, ok := byKey[s.ParentKey]
			switch {
			case !ok:
				bad("%q: parent %q does not come before it", s.Key, s.ParentKey)
			case p.StartByte > s.StartByte || p.EndByte < s.EndByte:
				bad("%q: not inside its parent %q", s.Key, s.ParentKey)
			}
		}
		if s.Complexity < 0 {
			bad("%q: complexity %d", s.Key, s.Complexity)
		}
		byKey[s.Key] = s
	}
	last = 1
	for _, i := range ex.Imports {
		str("module", i.Module, lang.MaxImportName)
		str("alias", i.Alias, lang.MaxName)
		for _, name := range i.Names {
			str("imported name", name, lang.MaxName)
		}
		for _, seek := range i.Seeks {
			str("seek", seek, lang.MaxImportName)
			if !strings.Contains(seek, ":") {
				bad("seek %q has no family", seek)
			}
		}
		if i.Module == "" || i.Line < last || i.Line > lines {
			bad("import %q at line %d: empty, out of order or outside", i.Module, i.Line)
		}
		last = i.Line
	}
	last = 1
	for _, r := range ex.Requirements {
		str("required name", r.Name, lang.MaxName)
		str("required version", r.Version, lang.MaxSignature)
		switch r.Kind {
		case lang.NeedRuntime, lang.NeedDev, lang.NeedBuild, lang.NeedOptional, lang.NeedPeer, lang.NeedIndirect:
		default:
			bad("requirement %q: unknown kind %q", r.Name, r.Kind)
		}
		if r.Name == "" || r.Ecosystem == "" || r.Line < last || r.Line > lines {
			bad("requirement of %q %q at line %d: empty, out of order or outside", r.Ecosystem, r.Name, r.Line)
		}
		last = r.Line
	}
	last = 1
	for _, c := range ex.Calls {
		str("callee", c.Name, lang.MaxName)
		str("qualifier", c.Qualifier, lang.MaxName)
		str("qualifier type", c.QualifierType, lang.MaxName)
		if _, ok := byKey[c.CallerKey]; c.CallerKey != "" && !ok {
			bad("call of %s: caller %q is no symbol", c.Name, c.CallerKey)
		}
		if c.Name == "" || c.Line < last || c.Line > lines {
			bad("call of %q at line %d: empty, out of order or outside", c.Name, c.Line)
		}
		last = c.Line
	}
	for _, p := range ex.Provides {
		str("provided name", p, lang.MaxImportName)
		if !strings.Contains(p, ":") {
			bad("provided name %q has no family", p)
		}
	}
	return found
}
