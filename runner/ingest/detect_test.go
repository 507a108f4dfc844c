package ingest_test

import (
	"testing"

	"github.com/htdag/htdag/runner/ingest"
)

func TestDetect(t *testing.T) {
	for _, test := range []struct {
		path, head, want string
	}{
		{"main.go", "package main\n", "Go"},
		{"a/b/c.ts", "export const x = 1\n", "TypeScript"},
		{"a.tsx", "export const x = <b/>\n", "TSX"},
		{"a.mts", "", "TypeScript"},
		{"a.d.ts", "", "TypeScript"},
		{"a.js", "", "JavaScript"},
		{"a.jsx", "", "JavaScript"},
		{"a.py", "", "Python"},
		{"A.PY", "", "Python"},
		{"lib.rs", "", "Rust"},
		{"a.ex", "", "Elixir"},
		{"a.exs", "", "Elixir"},
		{"README.md", "", "Markdown"},
		{"Cargo.toml", "", "TOML"},
		{"Cargo.lock", "", "TOML"},
		{".github/workflows/ci.yml", "", "YAML"},
		{"package.json", "", "JSON"},
		{"tsconfig.json", "", "JSON with Comments"},
		{"go.mod", "", "Go Module"},
		{"go.sum", "", "Go Checksums"},
		{"query.sql", "", "SQL"},
		{"Makefile", "", "Makefile"},
		{"Dockerfile", "", "Dockerfile"},
		{"Dockerfile.dev", "", "Dockerfile"},
		{"Makefile.linux", "", "Makefile"},
		{"a.cc", "", "C++"},
		{"a.cs", "", "C#"},
		{".gitignore", "", "Ignore List"},
		{"LICENSE", "", "Text"},
		{"notes.txt", "", "Text"},
		{"unknown.zzz", "hello\n", "Text"},
		{"noextension", "hello\n", "Text"},
		{"", "", "Text"},

		// A #! line speaks for files without a known ending.
		{"run", "#!/usr/bin/env python3\n", "Python"},
		{"run", "#!/usr/bin/env -S python3.11 -u\n", "Python"},
		{"run", "#!/bin/bash -e\n", "Shell"},
		{"run", "#! /usr/local/bin/ruby2.7\n", "Ruby"},
		{"run", "#!/usr/bin/env FOO=1 elixir\n", "Elixir"},
		{"run", "#!\n", "Text"},
		{"run", "#!/opt/strange/thing\n", "Text"},
		{"run.py", "#!/bin/bash\n", "Python"},

		// So do modelines.
		{"conf", "# -*- mode: ruby -*-\n", "Ruby"},
		{"conf", "# -*- python -*-\n", "Python"},
		{"conf", "\n# vim: set ts=2 ft=sh:\n", "Shell"},
		{"conf", "# vim: syntax=nothing:\n", "Text"},
		{"a.h", "// -*- C++ -*-\nint x;\n", "C++"},

		// Shared extensions are decided by content.
		{"a.h", "#ifndef A\n#define A\nint f(void);\n#endif\n", "C"},
		{"b.h", "#include <string>\nnamespace a { class B : public C { virtual ~B(); }; }\n", "C++"},
		{"c.h", "#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n", "Objective-C"},
		{"a.m", "#import \"A.h\"\n@implementation A\n- (void)x {}\n@end\n", "Objective-C"},
		{"a.pl", "use strict;\nmy $x = 1;\n", "Perl"},
		{"a.f", "      PROGRAM X\n      END\n", "Fortran"},
	} {
		if got := ingest.Detect(test.path, []byte(test.head)); got != test.want {
			t.Errorf("Detect(%q, %q) = %q, want %q", test.path, test.head, got, test.want)
		}
	}
}

// The classifier takes about a millisecond; what the tables know must not get there.
func BenchmarkDetect(b *testing.B) {
	head := []byte("package main\n\nfunc main() {}\n")
	for b.Loop() {
		ingest.Detect("a/b/c/main.go", head)
	}
}

func FuzzDetect(f *testing.F) {
	f.Add("a.go", "package a")
	f.Add("run", "#!/usr/bin/env -S A=b python3 -u\n")
	f.Add("conf", "-*- mode: c++; x: y -*-\n")
	f.Add("x", "vim: set ft=go:")
	f.Add("a.h", "class A {};")
	f.Fuzz(func(t *testing.T, path, head string) {
		name := ingest.Detect(path, []byte(head))
		if name == "" {
			t.Errorf("no language for %q", path)
		}
		if again := ingest.Detect(path, []byte(head)); again != name {
			t.Errorf("%q is %s, then %s", path, name, again)
		}
	})
}
