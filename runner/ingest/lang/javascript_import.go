package lang

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// ecmaExtensions are left out of module names; an import may leave them out, or
// name the .js file that a .ts file will become.
var ecmaExtensions = []string{".d.ts", ".d.mts", ".d.cts", ".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".es6"}

func ecmaStem(file string) (stem string, ok bool) {
	for _, ext := range ecmaExtensions {
		if stem, ok := strings.CutSuffix(file, ext); ok && stem != "" && !strings.HasSuffix(stem, "/") {
			return stem, true
		}
	}
	return file, false
}

// ecmaModule names the module after its path without extension; an index file also
// answers to its directory.
func ecmaModule(w *treeWalk) {
	stem, _ := ecmaStem(w.path)
	w.extra = &ecmaFile{names: map[string]bool{}, others: map[string][]string{}, declarations: strings.HasPrefix(w.path[len(stem):], ".d.")}
	w.Module(stem, w.leadingDocs(0, func(comment []byte) bool {
		if !isJSDoc(comment) {
			return false
		}
		for _, tag := range []string{"@file", "@fileoverview", "@module", "@packageDocumentation"} {
			if bytes.Contains(comment, []byte(tag)) {
				return true
			}
		}
		return false
	}))
	w.Provide("js:" + stem)
	if path.Base(stem) == "index" {
		w.Provide("js:" + strings.TrimSuffix(path.Dir(stem), "."))
	}
}

// ecmaSeeks returns the names that would satisfy an import. A relative specifier
// is resolved against the importing file's directory, anything else is given as
// written.
func ecmaSeeks(file, specifier string) []string {
	specifier, _, _ = strings.Cut(specifier, "?") // bundlers: ./logo.svg?url
	if specifier == "" {
		return nil
	}
	if specifier != "." && specifier != ".." && !strings.HasPrefix(specifier, "./") && !strings.HasPrefix(specifier, "../") {
		return []string{"js:" + specifier}
	}
	target := path.Join(path.Dir(file), specifier)
	if target == ".." || strings.HasPrefix(target, "../") {
		return nil // outside of the codebase
	}
	if target == "." {
		return []string{"js:index", "js:"}
	}
	if strings.HasSuffix(specifier, "/") || specifier == "." || specifier == ".." || strings.HasSuffix(specifier, "/..") {
		return []string{"js:" + target + "/index", "js:" + target}
	}
	if stem, ok := ecmaStem(target); ok {
		return []string{"js:" + stem}
	}
	if path.Ext(target) == "" {
		return []string{"js:" + target, "js:" + target + "/index"}
	}
	// A dot may begin an asset's extension or be part of a name: ./user.service.
	return []string{"path:" + target, "js:" + target, "js:" + target + "/index"}
}

// imports adds the import of a module named by a string.
func (w *treeWalk) imports(node, source int, i Import) {
	w.ecma().module = true
	if i.Module = ecmaString(w, source); i.Module == "" {
		return
	}
	i.Seeks = ecmaSeeks(w.path, i.Module)
	w.Import(int(w.tree.Nodes[node].Start), i)
}

// ecmaString returns what a string literal says, nothing where it is computed.
func ecmaString(w *treeWalk, node int) string {
	if !w.is(node, "string", "template_string") {
		return ""
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if !w.is(c, "string_fragment") {
			return ""
		}
	}
	return strings.Trim(w.nodeText(node), "'\"`")
}

// ecmaImport reads import statements.
func ecmaImport(w *treeWalk, node int) bool {
	var i Import
	source := w.child(node, "source")
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "import_clause"):
			for part := w.tree.First(c); part != treesitter.None; part = w.tree.Sibling(part) {
				switch {
				case w.is(part, "identifier"):
					i.Names = append(i.Names, "default as "+w.nodeText(part))
				case w.is(part, "namespace_import"):
					i.Alias = w.nodeText(w.tree.First(part))
				case w.is(part, "named_imports"):
					i.Names = append(i.Names, ecmaSpecifiers(w, part)...)
				}
			}
		case w.is(c, "import_require_clause"): // import x = require("y")
			i.Alias = w.nodeText(w.tree.First(c))
			source = w.child(c, "source")
		}
	}
	w.imports(node, source, i)
	return false
}

// ecmaSpecifiers reads {a, b as c}.
func ecmaSpecifiers(w *treeWalk, clause int) (names []string) {
	for c := w.tree.First(clause); c != treesitter.None; c = w.tree.Sibling(c) {
		name := w.nodeText(w.child(c, "name"))
		if alias := w.nodeText(w.child(c, "alias")); alias != "" {
			name += " as " + alias
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// ecmaExport reads what an export statement imports from elsewhere, and which of
// this file's own names it exports.
func ecmaExport(w *treeWalk, node int) bool {
	w.ecma().module = true
	source := w.child(node, "source")
	var i Import
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "export_clause") && source != treesitter.None:
			i.Names = append(i.Names, ecmaSpecifiers(w, c)...)
		case w.is(c, "export_clause"):
			for s := w.tree.First(c); s != treesitter.None; s = w.tree.Sibling(s) {
				local := w.nodeText(w.child(s, "name"))
				w.ecma().names[local] = true
				exposed := w.nodeText(w.child(s, "alias"))
				if exposed == "" {
					exposed = local
				}
				w.ecma().others[local] = append(w.ecma().others[local], exposed)
			}
		case w.is(c, "namespace_export"):
			i.Names = append(i.Names, "* as "+w.nodeText(w.tree.First(c)))
		case w.is(c, "identifier"): // export default f, export = f
			w.ecma().names[w.nodeText(c)] = true
		}
	}
	if source == treesitter.None {
		return true
	}
	if len(i.Names) == 0 {
		i.Names = []string{"*"}
	}
	i.Exports = slices.Clone(i.Names)
	w.imports(node, source, i)
	return false
}

// requires says whether an expression is what a module exports: require("x"),
// await import("x"), or a property of that.
func (w *treeWalk) requires(node int) bool {
	for range maxChain {
		switch {
		case w.is(node, "await_expression", "parenthesized_expression"):
			node = w.tree.First(node)
		case w.is(node, "member_expression"):
			node = w.child(node, "object")
		case w.is(node, "call_expression"):
			callee := w.child(node, "function")
			return w.is(callee, "import") || w.nodeText(callee) == "require"
		default:
			return false
		}
	}
	return false
}

// ecmaRequire reads require("x") and import("x"), and the names that their result
// is bound to.
func ecmaRequire(w *treeWalk, node int) bool {
	arguments := w.child(node, "arguments")
	if !w.requires(node) || !w.is(arguments, "arguments") || w.tree.First(arguments) == treesitter.None {
		return true
	}
	var i Import
	p := w.tree.Parent(node)
	for w.is(p, "await_expression", "parenthesized_expression") {
		p = w.tree.Parent(p)
	}
	property := ""
	if w.is(p, "member_expression") && !w.is(w.tree.Parent(p), "call_expression") {
		property = w.nodeText(w.child(p, "property"))
		p = w.tree.Parent(p)
	}
	if w.is(p, "variable_declarator") {
		name := w.child(p, "name")
		switch local := w.nodeText(name); {
		case property == "" && w.is(name, "object_pattern"):
			i.Names = ecmaPatternNames(w, name)
		case !w.is(name, "identifier"):
		case property == "":
			i.Alias = local
		case property == local:
			i.Names = []string{local}
		default:
			i.Names = []string{property + " as " + local}
		}
	} else if property != "" {
		i.Names = []string{property}
	}
	w.imports(node, w.tree.First(arguments), i)
	return true
}

// ecmaPatternNames reads const {a, b: c} = require("x").
func ecmaPatternNames(w *treeWalk, pattern int) (names []string) {
	for c := w.tree.First(pattern); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "shorthand_property_identifier_pattern"):
			names = append(names, w.nodeText(c))
		case w.is(c, "object_assignment_pattern"):
			names = append(names, w.nodeText(w.child(c, "left")))
		case w.is(c, "pair_pattern"):
			name := w.nodeText(w.child(c, "key"))
			if value := w.child(c, "value"); w.is(value, "identifier") {
				name += " as " + w.nodeText(value)
			}
			names = append(names, name)
		}
	}
	return names
}

// ecmaCommonExport notes the names in module.exports = {a, b: c}.
func ecmaCommonExport(w *treeWalk, node int) bool {
	left := w.nodeText(w.child(node, "left"))
	if left != "module.exports" && left != "exports" && !strings.HasPrefix(left, "exports.") && !strings.HasPrefix(left, "module.exports.") {
		return true
	}
	f := w.ecma()
	f.module = true
	right := w.child(node, "right")
	if w.is(right, "identifier") {
		f.names[w.nodeText(right)] = true
	}
	if !w.is(right, "object") || left != "module.exports" && left != "exports" {
		return true
	}
	for c := w.tree.First(right); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "shorthand_property_identifier"):
			f.names[w.nodeText(c)] = true
		case w.is(c, "pair"):
			if value := w.child(c, "value"); w.is(value, "identifier") {
				f.names[w.nodeText(value)] = true
			} else {
				f.names[w.nodeText(w.child(c, "key"))] = true
			}
		case w.is(c, "method_definition"):
			f.names[w.nodeText(w.child(c, "name"))] = true
		}
	}
	return true
}
