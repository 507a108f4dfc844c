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

// oracle says how ctags is asked about a language.
type oracle struct {
	language   string
	ctags      string // its name for it
	extensions []string
	options    []string
	kinds      map[string]string // of ctags, to class; others are not compared
	name       func(string) string
	ignore     func(path, kind, name string) bool // of ctags, what is not compared
	unknown    []string                           // of ours, the kinds that ctags does not know
}

var cKinds = map[string]string{
	"macro": "macro", "enumerator": "value", "function": "function", "enum": "type", "member": "value", "prototype": "function",
	"struct": "type", "typedef": "type", "union": "type", "variable": "value", "externvar": "value",
}

var oracles = []oracle{
	{language: "C", ctags: "C", extensions: []string{".c", ".h"}, options: []string{"--kinds-C=+px"}, kinds: cKinds, ignore: announced},
	{language: "C++", ctags: "C++", extensions: []string{".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".h", ""}, options: []string{"--kinds-C++=+px"},
		kinds: with(cKinds, map[string]string{"class": "type", "namespace": "module"}), name: func(name string) string { return strings.ReplaceAll(name, " ", "") }, ignore: announced},
	{language: "C#", ctags: "C#", extensions: []string{".cs"}, kinds: map[string]string{
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
		name: func(name string) string { return name[strings.LastIndexAny(name, ".:")+1:] }},
	{language: "Shell", ctags: "Sh", extensions: []string{".sh", ".bash"}, kinds: map[string]string{"function": "function"}, unknown: []string{lang.KindVariable}},
	{language: "Kotlin", ctags: "Kotlin", extensions: []string{".kt"}, kinds: map[string]string{
		"class": "type", "interface": "type", "method": "function", "object": "type", "typealias": "type",
	}, unknown: []string{lang.KindField, lang.KindConstant, lang.KindVariable}, name: strings.TrimSpace, ignore: func(_, _, name string) bool {
		return strings.HasPrefix(name, "<") // <lambda>
	}}, // ctags takes local ones too
	{language: "Java", ctags: "Java", extensions: []string{".java"}, kinds: map[string]string{
		"annotation": "type", "class": "type", "enumConstant": "value", "field": "value", "enum": "type", "interface": "type", "method": "function",
	}},
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
