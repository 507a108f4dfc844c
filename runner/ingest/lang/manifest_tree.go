package lang

import (
	"path"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// Manifests that are programs: what they declare is read from their syntax trees.

// elixirTuple reads {:name, "~> 1.0", only: :test} in the function deps of a mix.exs.
func elixirTuple(w *treeWalk, node int) bool {
	around := w.top().name
	if path.Base(w.path) != "mix.exs" || around[strings.LastIndexByte(around, '.')+1:] != "deps" {
		return true
	}
	first := w.tree.First(node)
	if !w.is(first, "atom") {
		return true
	}
	r := Requirement{Ecosystem: "hex", Name: strings.TrimPrefix(w.nodeText(first), ":"), Kind: NeedRuntime}
	options := map[string]string{}
	for c := w.tree.Sibling(first); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "string") && r.Version == "":
			r.Version = strings.Trim(w.nodeText(c), `"`)
		case w.is(c, "keywords"):
			for pair := w.tree.First(c); pair != treesitter.None; pair = w.tree.Sibling(pair) {
				options[strings.TrimRight(w.nodeText(w.child(pair, "key")), ": \t\r\n")] = w.nodeText(w.child(pair, "value"))
			}
		}
	}
	if r.Version == "" && len(options) == 0 {
		return true // some other pair
	}
	for _, source := range []string{"git", "github", "path"} {
		if from := options[source]; from != "" && r.Version == "" {
			r.Version = source + ":" + strings.Trim(from, `"`)
		}
	}
	only := options["only"]
	switch {
	case only != "" && !strings.Contains(only, ":prod"):
		r.Kind = NeedDev
	case options["optional"] == "true":
		r.Kind = NeedOptional
	case options["runtime"] == "false":
		r.Kind = NeedBuild
	}
	w.Require(int(w.tree.Nodes[node].Start), r)
	return true
}

// rubyRequirement reads gem "name", "~> 1.0", group: :test of a Gemfile, and what a
// gemspec adds.
func rubyRequirement(w *treeWalk, node int) {
	base := path.Base(w.path)
	method := w.nodeText(w.child(node, "method"))
	kind := ""
	switch {
	case (base == "Gemfile" || base == "gems.rb") && method == "gem":
		kind = w.rubyGroup(node)
	case path.Ext(base) != ".gemspec":
	case method == "add_dependency" || method == "add_runtime_dependency":
		kind = NeedRuntime
	case method == "add_development_dependency":
		kind = NeedDev
	}
	if kind == "" {
		return
	}
	r := Requirement{Ecosystem: "rubygems", Kind: kind}
	var versions []string
	for c := w.tree.First(w.child(node, "arguments")); c != treesitter.None; c = w.tree.Sibling(c) {
		text := strings.Trim(w.nodeText(c), `"'`)
		switch {
		case w.is(c, "string") && r.Name == "":
			r.Name = text
		case w.is(c, "string"):
			versions = append(versions, text)
		case w.is(c, "pair"):
			key, value := strings.Trim(w.nodeText(w.child(c, "key")), ": "), w.nodeText(w.child(c, "value"))
			switch key {
			case "group", "groups":
				r.Kind = rubyKind(value)
			case "git", "github", "path":
				if len(versions) == 0 {
					versions = append(versions, key+":"+strings.Trim(value, `"'`))
				}
			}
		}
	}
	if r.Name == "" || strings.Contains(r.Name, "#{") {
		return
	}
	r.Version = strings.Join(versions, ", ")
	w.Require(int(w.tree.Nodes[node].Start), r)
}

// rubyGroup returns the kind of what stands in group :development do ... end.
func (w *treeWalk) rubyGroup(node int) string {
	for range maxChain {
		if node = w.tree.Parent(node); node == treesitter.None {
			break
		}
		if w.is(node, "call") && w.nodeText(w.child(node, "method")) == "group" {
			return rubyKind(w.nodeText(w.child(node, "arguments")))
		}
	}
	return NeedRuntime
}

// rubyKind says what names of groups mean: everything but production is for those
// who work on the program.
func rubyKind(groups string) string {
	names := strings.FieldsFunc(groups, func(r rune) bool { return strings.ContainsRune(" ,()[]:'\"", r) })
	if len(names) == 0 || slices.Contains(names, "default") || slices.Contains(names, "production") {
		return NeedRuntime
	}
	return NeedDev
}
