package treesitter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	javascript "github.com/tree-sitter/tree-sitter-javascript/bindings/go"
	python "github.com/tree-sitter/tree-sitter-python/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

func pythonLanguage(t testing.TB) *treesitter.Language {
	t.Helper()
	l, err := treesitter.NewLanguage("Python", python.Language())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func javascriptLanguage(t testing.TB) *treesitter.Language {
	t.Helper()
	l, err := treesitter.NewLanguage("JavaScript", javascript.Language())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newParser(t testing.TB, limits treesitter.Limits) *treesitter.Parser {
	t.Helper()
	p, err := treesitter.NewParser(limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestParse(t *testing.T) {
	p := newParser(t, treesitter.Limits{})
	tree, err := p.Parse(context.Background(), javascriptLanguage(t), []byte("f(a)\nif (x && y) z()\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `program 0
 expression_statement 0
  call_expression 0
   function: identifier 0 f
   arguments: arguments 0
    identifier 0 a
 if_statement 1
  condition: parenthesized_expression 1
   binary_expression 1
    left: identifier 1 x
    operator: && 1 &&
    right: identifier 1 y
  consequence: expression_statement 1
   call_expression 1
    function: identifier 1 z
    arguments: arguments 1 ()
`
	got := tree.String()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if tree.Errors != 0 || tree.Missing != 0 || tree.ErrorBytes != 0 {
		t.Errorf("errors %d, missing %d, error bytes %d in correct code", tree.Errors, tree.Missing, tree.ErrorBytes)
	}
}

func TestParseCountsErrors(t *testing.T) {
	p := newParser(t, treesitter.Limits{})
	for _, c := range []struct {
		text            string
		errors, missing bool
	}{
		{"def f():\n  pass\n", false, false},
		{"def f(:\n  pass\n\nx = 1\n", false, true},
		{"f(1\n", true, false},
		{"", false, false},
		{"\x00\xff\xfe", true, false},
	} {
		tree, err := p.Parse(context.Background(), pythonLanguage(t), []byte(c.text))
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		if got := tree.Errors > 0; got != c.errors {
			t.Errorf("%q: errors %d, error bytes %d", c.text, tree.Errors, tree.ErrorBytes)
		}
		if got := tree.Missing > 0; got != c.missing {
			t.Errorf("%q: missing %d", c.text, tree.Missing)
		}
		if (tree.ErrorBytes > 0) != c.errors || tree.ErrorBytes > len(c.text) {
			t.Errorf("%q: error bytes %d of %d", c.text, tree.ErrorBytes, len(c.text))
		}
		problems(t, tree)
	}
}

// problems checks what Tree promises of any input.
func problems(t testing.TB, tree *treesitter.Tree) {
	t.Helper()
	if len(tree.Nodes) == 0 {
		t.Error("no root")
		return
	}
	for i, n := range tree.Nodes {
		if n.Start > n.End || int(n.End) > len(tree.Source) {
			t.Errorf("node %d: bytes %d-%d of %d", i, n.Start, n.End, len(tree.Source))
		}
		if int(n.Next) <= i || int(n.Next) > len(tree.Nodes) {
			t.Errorf("node %d: next is %d of %d", i, n.Next, len(tree.Nodes))
		}
		p := tree.Parent(i)
		if (p == treesitter.None) != (i == 0) {
			t.Errorf("node %d: parent is %d", i, p)
		}
		if p != treesitter.None {
			if q := tree.Nodes[p]; n.Start < q.Start || n.End > q.End || n.Next > q.Next {
				t.Errorf("node %d (%+v) is not inside its parent %d (%+v)", i, n, p, q)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func TestParseDeep(t *testing.T) {
	const depth = 200_000
	for name, text := range map[string]string{
		"closed": strings.Repeat("[", depth) + strings.Repeat("]", depth),
		"open":   strings.Repeat("[", depth),
		"calls":  strings.Repeat("f(", depth) + strings.Repeat(")", depth),
		"unary":  strings.Repeat("-", depth) + "x",
	} {
		t.Run(name, func(t *testing.T) {
			p := newParser(t, treesitter.Limits{Timeout: time.Minute, Busy: time.Second})
			tree, err := p.Parse(context.Background(), javascriptLanguage(t), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			problems(t, tree)
			if name == "closed" && len(tree.Nodes) < depth {
				t.Errorf("%d nodes for %d nested arrays", len(tree.Nodes), depth)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	ctx := context.Background()
	l := javascriptLanguage(t)
	text := []byte(strings.Repeat("f(a, b);\n", 20_000))

	p := newParser(t, treesitter.Limits{Timeout: time.Millisecond})
	if _, err := p.Parse(ctx, l, text); !errors.Is(err, treesitter.ErrTimeout) {
		t.Errorf("timeout: got %v", err)
	}
	// The parser must begin the next text anew, not resume the abandoned one.
	tree, err := p.Parse(ctx, l, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tree.String(), "program 0\n expression_statement 0\n  identifier 0 x\n"; got != want {
		t.Errorf("after a timeout: got\n%swant\n%s", got, want)
	}

	if _, err := newParser(t, treesitter.Limits{Nodes: 1000}).Parse(ctx, l, text); !errors.Is(err, treesitter.ErrTooLarge) {
		t.Errorf("nodes: got %v", err)
	}
	if _, err := newParser(t, treesitter.Limits{Bytes: 1000}).Parse(ctx, l, text); !errors.Is(err, treesitter.ErrTooLarge) {
		t.Errorf("bytes: got %v", err)
	}
}

func TestParseCancel(t *testing.T) {
	l := javascriptLanguage(t)
	p := newParser(t, treesitter.Limits{Timeout: time.Minute, Bytes: 16 << 20})
	text := []byte(strings.Repeat("f(a, b);\n", 1_000_000))
	lost := errors.New("lease lost")

	for range 3 {
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(20*time.Millisecond, func() { cancel(lost) })
		if _, err := p.Parse(ctx, l, text); !errors.Is(err, lost) {
			t.Fatalf("cancelled during the parse: got %v", err)
		}
		if _, err := p.Parse(ctx, l, []byte("x")); !errors.Is(err, lost) {
			t.Errorf("cancelled before the parse: got %v", err)
		}
		// An old cancellation must not reach a later parse.
		later, stop := context.WithCancel(context.Background())
		if _, err := p.Parse(later, l, []byte("x")); err != nil {
			t.Errorf("after a cancelled parse: %v", err)
		}
		stop()
	}
}

func TestLanguageNames(t *testing.T) {
	l := pythonLanguage(t)
	if got := l.KindName(treesitter.ErrorKind); got != "ERROR" {
		t.Errorf("name of ErrorKind: %q", got)
	}
	kinds := l.Kinds("function_definition")
	if len(kinds) == 0 || l.KindName(kinds[0]) != "function_definition" {
		t.Errorf("kinds of function_definition: %v", kinds)
	}
	for _, name := range []string{"def", "no_such_node"} {
		if kinds := l.Kinds(name); len(kinds) != 0 {
			t.Errorf("kinds of %s, which is no named node: %v", name, kinds)
		}
	}
	if tokens := l.Tokens("and"); len(tokens) == 0 || l.KindName(tokens[0]) != "and" {
		t.Errorf("tokens spelled and: %v", tokens)
	}
	if _, ok := l.Field("body"); !ok {
		t.Error("no field body")
	}
	if _, ok := l.Field("no_such_field"); ok {
		t.Error("a field no_such_field")
	}
	if _, err := treesitter.NewLanguage("nothing", nil); err == nil {
		t.Error("a nil grammar was accepted")
	}
}
