package steps

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest"
)

func TestLinkCalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, text string
		want             []string // name reach target, then the callee's key or the import's module
	}{
		{"Go", "a/a.go", `package a

import (
	"strings"
	db "example.com/m/store"
)

type T struct{ c *db.Conn }

func (t *T) Run() error {
	t.stop()
	t.gone()
	t.c.Close()
	helper()
	other()
	strings.ToUpper("x")
	db.Open()
	open().Close()
	return t.err().Error()
}

func (t *T) stop() {}
func helper()      {}
`, []string{
			"stop file T.stop <method T.stop>",
			"gone type T.gone",
			"Close type Conn.Close via example.com/m/store",
			"helper file helper <function helper>",
			"other package other",
			"ToUpper import ToUpper via strings",
			"Open import Open via example.com/m/store",
			"Close method Close",
			"open package open",
			"Error method Error",
			"err type T.err",
		}},
		{"Python", "a/b.py", `import os.path
import numpy as np
from pkg.mod import one, two as deux
from . import sibling

class Base:
    def go(self):
        self.stop()
        self.inherited()
        go()
        deux()
        one.method()
        np.array([])
        os.path.join("a")
        sibling.call()
        len([])
        unknown.append(1)
        unknown.frobnicate()

    def stop(self):
        pass

def go():
    def inner():
        pass
    inner()
    Base().go()
`, []string{
			"stop file Base.stop <method Base.stop>",
			"inherited type Base.inherited",
			"go file go <function go>",
			"two import two via pkg.mod",
			"method import one.method via pkg.mod",
			"array import array via numpy",
			"join import join via os.path",
			"call import sibling.call via .",
			"len none len",
			"append none append",
			"frobnicate method frobnicate",
			"inner file go.inner <function go.inner>",
			"go file Base.go <method Base.go>",
			"Base file Base <class Base>",
		}},
		{"TypeScript", "a/b.ts", `import def, { named as other } from './lib'
import * as all from './all'

class C {
  run() {
    this.stop()
    this.missing()
    def()
    other()
    all.thing()
    setTimeout(() => this.stop(), 1)
    list.map(x => x)
  }
  stop() {}
}
new C().run()
`, []string{
			"stop file C.stop <method C.stop>",
			"missing type C.missing",
			"default import default via ./lib",
			"named import named via ./lib",
			"thing import thing via ./all",
			"setTimeout none setTimeout",
			"stop file C.stop <method C.stop>",
			"map none map",
			"run file C.run <method C.run>",
			"C file C <class C>",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ex, err := ingest.Extract(context.Background(), tt.path, tt.name, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range linkCalls(&ex) {
				line := fmt.Sprintf("%s %s %s", l.name, l.reach, l.target)
				if l.calleeKey != "" {
					line += " <" + l.calleeKey + ">"
				}
				if l.importAt >= 0 {
					line += " via " + ex.Imports[l.importAt].Module
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		language, path, text string
		want                 int16
	}{
		{"Go", "a/b.go", "package a", precedenceNormal},
		{"Go", "a/b_windows.go", "package a", precedenceOtherPlatform},
		{"Go", "a/b_linux.go", "package a", precedenceNormal},
		{"Go", "a/b_arm64.go", "package a", precedenceOtherPlatform},
		{"Go", "a/b.go", "//go:build !linux\n\npackage a", precedenceOtherPlatform},
		{"Go", "a/b.go", "//go:build unix && amd64\n\npackage a", precedenceNormal},
		{"Go", "a/b_test.go", "package a", precedenceTest},
		{"Go", "a/testdata/b.go", "package a", precedenceTest},
		{"Python", "tests/helper.py", "", precedenceTest},
		{"Python", "pkg/test_x.py", "", precedenceTest},
		{"TypeScript", "src/x.spec.ts", "", precedenceTest},
		{"TypeScript", "src/latest.ts", "", precedenceNormal},
		{"Java", "src/FooTest.java", "", precedenceTest},
		{"Java", "src/Contest.java", "", precedenceNormal},
	}
	for _, tt := range tests {
		if got := precedence(tt.language, tt.path, []byte(tt.text)); got != tt.want {
			t.Errorf("precedence(%s, %s, %q) = %d, want %d", tt.language, tt.path, tt.text, got, tt.want)
		}
	}
}
