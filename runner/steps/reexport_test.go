package steps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// Calls go through files that only pass on what other files define.
func TestCallsThroughOtherFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		files map[string]string
		calls []string // of the files named user: line, callee, where it is
	}{
		{"Python", map[string]string{
			"pkg/__init__.py":     "from .mod import f, g as renamed\nfrom .sub import *\nfrom . import mod\n",
			"pkg/mod.py":          "def f():\n    pass\n\ndef g():\n    pass\n\nclass C:\n    def run(self):\n        pass\n",
			"pkg/sub/__init__.py": "from .deep import *\n",
			"pkg/sub/deep.py":     "def h():\n    pass\n",
			"user.py": "from pkg import f, renamed, h, mod\nimport pkg\n\nf()\nrenamed()\nh()\nmod.g()\npkg.f()\nmod.C()\n" +
				"from pkg import *\nfrom pkg import absent\nabsent()\n",
		}, []string{
			"4 | f | pkg/mod.py", "5 | g | pkg/mod.py", "6 | h | pkg/sub/deep.py", "7 | g | pkg/mod.py", "8 | f | pkg/mod.py",
			"9 | C | pkg/mod.py", "12 | absent | -"}},
		{"TypeScript", map[string]string{
			"lib/index.ts": "export { x } from './x'\nexport * from './y'\nexport * as ns from './y'\nexport { default as Button } from './button'\n" +
				"import { local } from './x'\nexport { local as other }\n",
			"lib/x.ts":      "export function x() {}\nexport function local() {}\nexport default function d() {}\n",
			"lib/y.ts":      "export function y() {}\nexport * from './x'\n",
			"lib/button.ts": "export default function make() {}\n",
			"user.ts":       "import { x, y, ns, Button, other, d } from './lib'\nx()\ny()\nns.y()\nButton()\nother()\nimport def from './lib'\ndef()\n",
		}, []string{
			"2 | x | lib/x.ts", "3 | y | lib/y.ts", "4 | y | lib/y.ts", "5 | make | lib/button.ts", "6 | local | lib/x.ts", "8 | default | -"}},
		{"Rust", map[string]string{
			"src/lib.rs":          "pub mod a;\nmod user;\n",
			"src/a/mod.rs":        "mod inner;\npub use self::inner::{f, g as renamed};\npub use self::inner::deep::*;\nuse self::inner::hidden;\n",
			"src/a/inner.rs":      "pub mod deep;\npub fn f() {}\npub fn g() {}\npub fn hidden() {}\n",
			"src/a/inner/deep.rs": "pub fn h() {}\npub struct T;\nimpl T { pub fn new() -> T { T } }\n",
			"src/user.rs": "use crate::a::{f, renamed, h, T, hidden};\nuse crate::a;\n\nfn run() {\n    f();\n    renamed();\n    h();\n    T::new();\n    a::f();\n" +
				"    hidden();\n}\n",
		}, []string{
			"5 | f | src/a/inner.rs", "6 | g | src/a/inner.rs", "7 | h | src/a/inner/deep.rs", "8 | T.new | src/a/inner/deep.rs", "9 | f | src/a/inner.rs",
			"10 | hidden | -"}},
		// Files that pass names on in a circle end the search.
		{"circle", map[string]string{
			"a.ts":    "export * from './b'\nexport { one as two } from './b'\n",
			"b.ts":    "export * from './a'\nexport { two as one } from './a'\n",
			"user.ts": "import { one, none } from './a'\none()\nnone()\n",
		}, []string{"2 | one | -", "3 | none | -"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
			c.write(tt.files)
			c.ingestAll()
			const calls = "select call_line, callee, callee_path from report.calls where caller_path like '%user.%' order by 1, 2"
			if diff := cmp.Diff(tt.calls, c.query(calls)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// What a file in between says decides what its importers call, and they notice.
func TestFileInBetweenChanges(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(map[string]string{
		"pkg/__init__.py": "from .one import f\n", "pkg/one.py": "def f():\n    pass\n", "pkg/two.py": "def f():\n    pass\n\ndef g():\n    pass\n",
		"user.py": "from pkg import f\n\nf()\n",
	})
	c.ingestAll()
	for _, step := range []struct{ path, text, want string }{
		{"pkg/__init__.py", "from .two import f\n", "f | pkg/two.py"},
		{"pkg/__init__.py", "from .two import g as f\n", "g | pkg/two.py"},
		{"pkg/two.py", "def f():\n    pass\n", "f | -"},
		{"pkg/two.py", "def g():\n    pass\n", "g | pkg/two.py"},
		{"pkg/__init__.py", "", "f | -"},
	} {
		c.write(map[string]string{step.path: step.text})
		c.ingestFile(step.path)
		if diff := cmp.Diff([]string{step.want}, c.query("select callee, callee_path from report.calls where caller_path = 'user.py'")); diff != "" {
			t.Errorf("after %s is %q (-want +got):\n%s", step.path, step.text, diff)
		}
	}
}
