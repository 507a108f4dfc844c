package steps

import (
	"os"
	"path"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// A dialect is what the files of a made-up tree are made of, in one language. Few
// names and few directories, so that most edits move what something else refers to.
// In its texts $f and $g are functions, $T and $U types, $call one of its calls, $dir,
// $dots, $colons, $rel and $last a directory of it, and $mod the base name of a file.
type dialect struct {
	extensions  []string
	directories []string
	bases       []string
	manifests   map[string][]string // what declares where imports begin, with possible texts
	heads       []string
	imports     []string
	definitions []string
	calls       []string
}

var (
	functions = []string{"Alpha", "Beta", "gamma"}
	types     = []string{"Tree", "Leaf"}
	folders   = []string{"a", "b", "b/c"}
)

var dialects = map[string]*dialect{
	"Go": {
		extensions: []string{".go"}, directories: folders, bases: []string{"x", "y", "doc", "c", "x_test", "y_windows"},
		manifests: map[string][]string{
			"go.mod":   {"module example.com/m\n", "module example.com/n\n\nrequire example.com/a v1.0.0\n", "module std\n\nrequire (\n\texample.com/a v1.1.0 // indirect\n\texample.com/b v1.0.0\n)\n"},
			"b/go.mod": {"module example.com/m\n", "module example.com/m/b\n"},
		},
		heads: []string{"package $own\n", "package $own\n", "package $own\n", "package x\n", "//go:build windows\n\npackage $own\n", "package ${own}_test\n"},
		imports: []string{`import "example.com/m/$dir"`, `import "example.com/m/$dir"`, `import . "example.com/m/$dir"`,
			`import other "example.com/m/$dir"`, `import "example.com/n/$dir"`, `import "$dir"`},
		definitions: []string{"func $f(x $T) { $call }", "func (x *$T) $f() { $call }", "type $T struct{ $f int }", "type $T struct{ *$U }",
			"type $T interface{ $f() }", "func use$f(v any) { v.($T).$g(); $call }", "func first$T(x *$T) { x.$f() }"},
		calls: []string{"$f()", "$last.$f()", "x.$f()", "new($last.$T).$f()", "other.$f()"},
	},
	"Python": {
		extensions: []string{".py"}, directories: folders, bases: []string{"x", "y", "__init__", "__init__"},
		imports: []string{"import $dots.$mod", "import $dots.$mod as m", "from $dots.$mod import $f", "from $dots.$mod import $f as renamed",
			"from $dots.$mod import *", "from . import $mod", "from .$mod import $f", "from .$mod import $f as $g", "from .$mod import *",
			"from $dots import $f", "from $dots import *", "from $dots import $mod", "from .. import $f", "from .$mod import $T", "__all__ = ['$f']"},
		definitions: []string{"def $f():\n    $call\n", "class $T:\n    def $f(self):\n        $call\n", "class $T($U):\n    def $f(self):\n        $call\n",
			"$f = lambda: $call\n", "x = $T()\nx.$f()\n"},
		calls: []string{"$f()", "$dots.$mod.$f()", "m.$f()", "renamed()", "self.$f()", "x.$f()", "$mod.$f()", "$T()", "$T().$f()", "$T.$f()"},
	},
	"TypeScript": {
		extensions: []string{".ts", ".ts", ".js", ".tsx"}, directories: folders, bases: []string{"x", "y", "index", "index"},
		manifests: map[string][]string{"package.json": {`{"name": "pkg"}`, `{"name": "other", "dependencies": {"a": "1"}, "devDependencies": {"b": "2"}}`}, "b/package.json": {`{"name": "pkg"}`}},
		imports: []string{"import { $f } from '$rel/$mod'", "import { $f as $g } from '$rel'", "import def from '$rel/$mod'", "import * as all from '$rel'",
			"export { $f } from '$rel/$mod'", "export { $f as $g } from '$rel'", "export { $f } from './$mod'", "export * from './$mod'", "export * from '$rel'",
			"export * as all from '$rel/$mod'", "export { default as $f } from './$mod'", "export { $f as default } from './$mod'",
			"import { $f } from 'pkg'", "import { $f } from 'pkg/$dir'", "import { $f } from './$mod'\nexport { $f }", "import { $T } from '$rel'"},
		definitions: []string{"export function $f() { $call }", "function $f() { $call }", "export default function $f() { $call }",
			"export class $T { $f() { $call } }", "class $T extends $U { $f() { $call } }", "const x = new $T(); x.$f()", "export default $f",
			"export const $f = () => { $call }"},
		calls: []string{"$f()", "this.$f()", "x.$f()", "all.$f()", "def()", "new $T().$f()", "all.all.$f()", "$T.$f()"},
	},
	"Java": {
		extensions: []string{".java"}, directories: folders, bases: []string{"Tree", "Leaf", "TreeTest"},
		heads:   []string{"package $owndots;\n", "package $owndots;\n", "package $dots;\n", ""},
		imports: []string{"import $dots.$T;", "import static $dots.$T.$f;", "import $dots.*;", "import static $dots.$T.*;"},
		definitions: []string{"class $T { void $f() { $call; } }", "interface $T { void $f(); }", "class $T extends $U { static void $f() { $call; } }",
			"class $T { $U x; void $f() { x.$g(); $call; } }"},
		calls: []string{"$f()", "this.$f()", "x.$f()", "$T.$f()", "new $T().$f()", "$dots.$T.$f()"},
	},
	"C": {
		extensions: []string{".c", ".c", ".h"}, directories: folders, bases: []string{"x", "y"},
		imports: []string{"#include \"$mod.h\"", "#include \"$dir/$mod.h\"", "#include \"$rel/$mod.h\"", "#include <$mod.h>"},
		definitions: []string{"void $f(void) { $call; }", "void $f(void);", "static int $f(int n) { return $call; }", "#define $f(x) $g(x)",
			"struct $T { int $f; };"},
		calls: []string{"$f()", "x->$f()"},
	},
	"Rust": {
		extensions: []string{".rs"}, directories: []string{"src", "src/a", "src/a/b"}, bases: []string{"x", "y", "mod", "lib", "a"},
		manifests: map[string][]string{"Cargo.toml": {"[package]\nname = \"krate\"\n", "[package]\nname = \"other\"\n"}},
		imports: []string{"use crate::$modpath::$f;", "pub use crate::$modpath::$f;", "pub use self::$mod::$f;", "pub use self::$mod::*;", "pub use $mod::{$f, $g};",
			"use super::$mod;", "mod $mod;", "pub mod $mod;", "use crate::$modpath::$f as $g;", "pub use crate::$modpath::$f as $g;", "use super::*;",
			"use crate::$modpath::$T;", "pub use crate::$modpath::$T as $U;", "use krate::$modpath::$f;", "use crate::a;"},
		definitions: []string{"pub fn $f() { $call; }", "fn $f() { $call; }", "pub struct $T;", "impl $T { pub fn $f(&self) { $call; } }",
			"pub trait $T { fn $f(&self); }", "pub mod x { pub fn $f() { $call; } }"},
		calls: []string{"$f()", "self.$f()", "x.$f()", "$mod::$f()", "$T::$f()", "crate::$modpath::$f()", "a::$f()"},
	},
	"PHP": {
		extensions: []string{".php"}, directories: folders, bases: []string{"Tree", "Leaf"},
		heads:   []string{"<?php\nnamespace $T;\n", "<?php\nnamespace $own;\n", "<?php\n"},
		imports: []string{"use $T\\$U;", "use function $T\\$f;", "use $own\\$T as Other;", "require '$mod.php';"},
		definitions: []string{"function $f() { $call; }", "class $T { function $f() { $call; } }", "class $T extends $U { static function $f() { $call; } }",
			"interface $T { function $f(); }"},
		calls: []string{"$f()", "$$this->$f()", "$$x->$f()", "$T::$f()", "Other::$f()", "(new $T())->$f()", "self::$f()"},
	},
	"Elixir": {
		extensions: []string{".ex"}, directories: folders, bases: []string{"x", "y"},
		definitions: []string{"defmodule $T do\n  alias $U.$T\n  def $f, do: $call\nend", "defmodule $T.$U do\n  import $U\n  def $f(), do: $call\n  defp $g, do: 1\nend",
			"defmodule App.$T do\n  alias $T, as: Other\n  use $U\n  def $f do\n    $call\n  end\nend"},
		calls: []string{"$f()", "$T.$f()", "$T.$U.$f()", "Other.$f()", "__MODULE__.$f()"},
	},
	"Kotlin": {
		extensions: []string{".kt"}, directories: folders, bases: []string{"x", "y"},
		heads:   []string{"package $owndots\n", "package $dots\n", ""},
		imports: []string{"import $dots.$f", "import $dots.$T", "import $dots.*", "import $dots.$f as $g"},
		definitions: []string{"fun $f() { $call }", "class $T { fun $f() { $call } }", "class $T : $U() { fun $f() { this.$g() } }", "object $T { fun $f() { $call } }",
			"fun $T.$f() { $call }"},
		calls: []string{"$f()", "x.$f()", "$T().$f()", "$T.$f()"},
	},
}

// roll is fair, which rapid's ranges are not: these prefer small numbers.
func roll(t *rapid.T, sides int, label string) int {
	return int(rapid.Uint64().Draw(t, label) % uint64(sides))
}

func pick(t *rapid.T, from []string, label string) string { return from[roll(t, len(from), label)] }

// source is a file that can be edited: pieces of text in their order.
type source struct {
	dialect     *dialect
	head        string
	imports     []string
	definitions []string
	odd         string // what is in it instead
}

func (s *source) text() string {
	if s.odd != "" {
		return s.odd
	}
	return s.head + strings.Join(s.imports, "\n") + "\n\n" + strings.Join(s.definitions, "\n\n") + "\n"
}

func (s *source) clone() *source {
	c := *s
	c.imports, c.definitions = slices.Clone(s.imports), slices.Clone(s.definitions)
	return &c
}

// fill writes one of the texts for a file in dir.
func (d *dialect) fill(t *rapid.T, from []string, dir string) string {
	if len(from) == 0 {
		return ""
	}
	return os.Expand(pick(t, from, "text"), func(name string) string {
		switch name {
		case "f", "g":
			return pick(t, functions, name)
		case "T", "U":
			return pick(t, types, name)
		case "mod":
			return pick(t, d.bases, name)
		case "call":
			return d.fill(t, d.calls, dir)
		case "own":
			return path.Base(dir)
		case "owndots":
			return strings.ReplaceAll(dir, "/", ".")
		case "$":
			return "$"
		}
		other := pick(t, d.directories, name)
		switch name {
		case "last":
			return path.Base(other)
		case "dots":
			return strings.ReplaceAll(other, "/", ".")
		case "modpath":
			return strings.TrimPrefix(strings.ReplaceAll(other, "/", "::")+"::"+pick(t, d.bases, "mod"), "src::")
		case "rel":
			return strings.Repeat("../", strings.Count(dir, "/")+1) + other
		}
		return other
	})
}

// file makes a new file.
func (d *dialect) file(t *rapid.T) (string, *source) {
	dir := pick(t, d.directories, "directory")
	s := &source{dialect: d, head: d.fill(t, d.heads, dir)}
	for range roll(t, 3, "imports") {
		s.imports = append(s.imports, d.fill(t, d.imports, dir))
	}
	for range 1 + roll(t, 3, "definitions") {
		s.definitions = append(s.definitions, d.fill(t, d.definitions, dir))
	}
	return path.Join(dir, pick(t, d.bases, "base")+pick(t, d.extensions, "extension")), s
}

// edit changes one thing in a file.
func (s *source) edit(t *rapid.T, name string) {
	dir := path.Dir(name)
	s.odd = ""
	swap := func(lines []string, from []string) []string {
		text := s.dialect.fill(t, from, dir)
		if text == "" {
			return lines
		}
		switch at := roll(t, len(lines)+1, "place"); {
		case at == len(lines):
			return append(lines, text)
		case roll(t, 2, "replace") == 0:
			return slices.Insert(lines, at, text)
		default:
			lines[at] = text
			return lines
		}
	}
	drop := func(lines []string) []string {
		if len(lines) == 0 {
			return lines
		}
		at := roll(t, len(lines), "place")
		return slices.Delete(lines, at, at+1)
	}
	switch roll(t, 9, "what") {
	case 0, 1:
		s.definitions = swap(s.definitions, s.dialect.definitions)
	case 2, 3:
		s.imports = swap(s.imports, s.dialect.imports)
	case 4:
		s.definitions = drop(s.definitions)
	case 5:
		s.imports = drop(s.imports)
	case 6: // a name becomes another, where it is defined and where it is called
		r := strings.NewReplacer(pick(t, functions, "old"), pick(t, functions, "new"), pick(t, types, "old"), pick(t, types, "new"))
		for i := range s.definitions {
			s.definitions[i] = r.Replace(s.definitions[i])
		}
	case 7:
		s.head = s.dialect.fill(t, s.dialect.heads, dir)
	case 8:
		s.odd = pick(t, []string{"\n", "\x00\x01binary", "package broken\nfunc {", "text \xff not utf-8 Alpha()"}, "odd content")
	}
}
