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
	ignore     func(path, kind string) bool // what is not compared
}

var cKinds = map[string]string{
	"macro": "macro", "enumerator": "value", "function": "function", "enum": "type", "member": "value", "prototype": "function",
	"struct": "type", "typedef": "type", "union": "type", "variable": "value", "externvar": "value",
}

var oracles = []oracle{
	{language: "C", ctags: "C", extensions: []string{".c", ".h"}, options: []string{"--kinds-C=+px"}, kinds: cKinds, ignore: announced},
	{language: "C++", ctags: "C++", extensions: []string{".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".h", ""}, options: []string{"--kinds-C++=+px"},
		kinds: with(cKinds, map[string]string{"class": "type", "namespace": "module"}), name: func(name string) string { return strings.ReplaceAll(name, " ", "") }, ignore: announced},
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
func announced(path, kind string) bool {
	switch filepath.Ext(path) {
	case ".c", ".cc", ".cpp", ".cxx":
		return kind == "prototype" || kind == "externvar"
	}
	return false
}
