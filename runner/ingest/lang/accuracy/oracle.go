package main

import (
	"maps"
	"path/filepath"
	"strings"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// classes groups our kinds; those of ctags are mapped to the same words.
var classes = map[string]string{
	lang.KindFunction: "function", lang.KindMethod: "function",
	lang.KindClass: "type", lang.KindStruct: "type", lang.KindInterface: "type", lang.KindTrait: "type", lang.KindEnum: "type", lang.KindType: "type",
	lang.KindConstant: "value", lang.KindVariable: "value", lang.KindField: "value",
	lang.KindModule: "module", lang.KindMacro: "macro",
}

// oracle is somebody who knows what a language's files define.
type oracle struct {
	language   string
	by         string                                            // what it is called in the report
	ask        func(*oracle, []string) (map[string][]tag, error) // what it says of files; nil for ctags
	typed      bool                                              // a type may stand before the name of a function, and be called the same
	nested     bool                                              // it looks into functions
	extensions []string
	name       func(string) string
	unknown    []string // of ours, the kinds that it does not know

	// Of ctags.
	ctags   string // its name for the language
	options []string
	kinds   map[string]string                  // to class; others are not compared
	ignore  func(path, kind, name string) bool // what is not compared
}

var cKinds = map[string]string{
	"macro": "macro", "enumerator": "value", "function": "function", "enum": "type", "member": "value", "prototype": "function",
	"struct": "type", "typedef": "type", "union": "type", "variable": "value", "externvar": "value",
}

var oracles = []oracle{
	{language: "Go", by: "go/parser", ask: goTags, nested: true, extensions: []string{".go"}},
	{language: "Python", by: "ast", ask: pythonTags, nested: true, extensions: []string{".py"}},
	{language: "TypeScript", by: "tsc", ask: typescriptTags, nested: true, extensions: []string{".ts", ".mts", ".cts"}},
	{language: "TSX", by: "tsc", ask: typescriptTags, nested: true, extensions: []string{".tsx"}},
	{language: "JavaScript", by: "tsc", ask: typescriptTags, nested: true, extensions: []string{".js", ".jsx", ".mjs", ".cjs"}},
	{language: "Go", ctags: "Go", extensions: []string{".go"}, kinds: map[string]string{
		"func": "function", "const": "value", "type": "type", "var": "value", "struct": "type", "interface": "type", "talias": "type",
	}, unknown: []string{lang.KindField}},
	{language: "C", ctags: "C", typed: true, extensions: []string{".c", ".h"}, options: []string{"--kinds-C=+px"}, kinds: cKinds, ignore: announced},
	{language: "C++", ctags: "C++", typed: true, extensions: []string{".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".h", ""}, options: []string{"--kinds-C++=+px"},
		kinds: with(cKinds, map[string]string{"class": "type", "namespace": "module"}), name: func(name string) string { return strings.ReplaceAll(name, " ", "") }, ignore: announced},
	{language: "C#", ctags: "C#", typed: true, extensions: []string{".cs"}, kinds: map[string]string{
		"class": "type", "enumerator": "value", "event": "value", "field": "value", "enum": "type", "interface": "type", "method": "function",
		"namespace": "module", "property": "value", "struct": "type", "typedef": "type",
	}},
	{language: "Ruby", ctags: "Ruby", extensions: []string{".rb"}, kinds: map[string]string{
		"class": "type", "method": "function", "module": "module", "singletonMethod": "function", "accessor": "value", "alias": "function", "constant": "value",
	}, name: func(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }, ignore: func(_, kind, name string) bool {
		return kind == "accessor" && strings.HasSuffix(name, "=") // attr_accessor is one symbol, not two
	}},
	{language: "PHP", ctags: "PHP", extensions: []string{".php"}, kinds: map[string]string{
		"class": "type", "define": "value", "function": "function", "interface": "type", "trait": "type", "enum": "type",
	}, unknown: []string{lang.KindField}},
	{language: "Lua", ctags: "Lua", extensions: []string{".lua"}, kinds: map[string]string{"function": "function"},
		name: luaName, ignore: func(_, _, name string) bool {
			return strings.ContainsAny(luaName(name), "[]") // of a computed key there is no name: [34] = function
		}},
	{language: "Shell", ctags: "Sh", extensions: []string{".sh", ".bash"}, kinds: map[string]string{"function": "function"}, unknown: []string{lang.KindVariable},
		ignore: func(_, _, name string) bool { return strings.ContainsAny(name, "={}*") }}, // images=( ... ) is an array
	{language: "Kotlin", ctags: "Kotlin", extensions: []string{".kt"}, kinds: map[string]string{
		"class": "type", "interface": "type", "method": "function", "object": "type", "typealias": "type",
	}, unknown: []string{lang.KindField, lang.KindConstant, lang.KindVariable}, name: strings.TrimSpace, ignore: func(_, _, name string) bool {
		return strings.HasPrefix(name, "<") // <lambda>
	}}, // ctags takes local ones too
	{language: "Java", ctags: "Java", typed: true, extensions: []string{".java"}, kinds: map[string]string{
		"annotation": "type", "class": "type", "enumConstant": "value", "field": "value", "enum": "type", "interface": "type", "method": "function",
	}},
}

// luaName is the last part of M.run, M:run or M["run"].
func luaName(name string) string {
	name = strings.TrimSuffix(strings.ReplaceAll(name, `["`, "."), `"]`)
	return name[strings.LastIndexAny(name, ".:")+1:]
}

func with(kinds, more map[string]string) map[string]string {
	all := maps.Clone(kinds)
	maps.Copy(all, more)
	return all
}

// announced says that a C declaration outside headers only announces what is
// defined elsewhere; the extractor leaves those out on purpose.
func announced(path, kind, _ string) bool {
	switch filepath.Ext(path) {
	case ".c", ".cc", ".cpp", ".cxx":
		return kind == "prototype" || kind == "externvar"
	}
	return false
}
