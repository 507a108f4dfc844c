package secret

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// example takes an example of rules.go apart: those of rules for some files only name one.
func example(r *Rule, text string) (path, content string) {
	path, content = "file", strings.ReplaceAll(text, "¦", "")
	if len(r.Files) > 0 {
		path, content, _ = strings.Cut(content, ": ")
	}
	return path, content
}

// Each rule finds its own examples, masks them, and no rule finds anything in what it is
// to leave alone.
func TestRules(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if names[r.Name] {
			t.Errorf("two rules are called %s", r.Name)
		}
		names[r.Name] = true
		if len(r.Finds) == 0 || len(r.Leaves) == 0 {
			t.Errorf("%s has no examples", r.Name)
		}
		for _, k := range r.Keywords {
			if len(k) < window || k != strings.ToLower(k) {
				t.Errorf("%s: keyword %q is not of at least %d bytes in lower case", r.Name, k, window)
			}
		}
		if groups := regexp.MustCompile(r.Pattern).NumSubexp(); groups != 1 && r.Until == "" {
			t.Errorf("%s has %d groups, want the secret alone", r.Name, groups)
		}
		for _, e := range r.Finds {
			path, text := example(r, e)
			masked, parsable, found := Mask(path, []byte(text))
			if len(found) != 1 || found[0].Rule != r.Name {
				t.Errorf("%s finds %+v in %s", r.Name, found, text)
				continue
			}
			if len(masked) != len(text) || len(parsable) != len(text) || bytes.Equal(masked, []byte(text)) {
				t.Errorf("%s makes %s of %s", r.Name, masked, text)
			}
			if again := search(path, masked); len(again) > 0 {
				t.Errorf("%s finds %+v in what it has masked: %s", r.Name, again, masked)
			}
			if again := search(path, parsable); len(again) > 0 {
				t.Errorf("%s finds %+v in what it has masked: %s", r.Name, again, parsable)
			}
		}
		for _, e := range r.Leaves {
			path, text := example(r, e)
			if found := search(path, []byte(text)); len(found) > 0 {
				t.Errorf("%s finds %+v in %s", found[0].Rule, found, text)
			}
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	const first, second = "c4ts-and-D0gs", "Zk3nT9xWq7Lmv5Rb2Yp8Ud4H"
	text := "// é\nvar password = \"" + first + "\" // sic\r\nurl := \"https://ann:" + first + "@host/\"; token := \"" + second + "\"\n"
	masked, parsable, found := Mask("a.go", []byte(text))
	star := func(s string) string { return strings.Repeat("*", len(s)) }
	want := strings.NewReplacer(first, star(first), second, star(second)).Replace(text)
	if diff := cmp.Diff(want, string(masked)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, Starred(string(parsable))); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%d %s: %s", f.Line, f.Rule, f.Excerpt))
	}
	line := `url := "https://ann:*************@host/"; token := "************************"`
	if diff := cmp.Diff([]string{
		`2 assigned-password: var password = "*************" // sic`,
		"3 password-in-address: " + line,
		"3 assigned-secret: " + line,
	}, got); diff != "" {
		t.Error(diff)
	}
}

// A key that is written as strings is masked without what joins the strings.
func TestMaskLeavesSyntaxAlone(t *testing.T) {
	t.Parallel()
	line := "MIIEpAIBAAKCAQEA7yXtCqOm3ZyqQp0V5sRZ8wHn4kLgJc9dTb1fUx2eYvMjWkPi"
	text := "const key = \"-----BEGIN RSA PRIVATE KEY-----\\n\" +\n\t\"" + line + "\\n\" +\n\t\"" + line + "\" + '\\n' +\n\t\"-----END RSA PRIVATE KEY-----\"\n"
	_, parsable, found := Mask("a.js", []byte(text))
	if len(found) != 1 || found[0].Excerpt != `const key = "-----BEGIN RSA PRIVATE KEY-----\n" +` {
		t.Fatalf("found %+v", found)
	}
	if want := strings.ReplaceAll(text, line, strings.Repeat("x", len(line))); want != string(parsable) {
		t.Errorf("%s\nwant %s", parsable, want)
	}
}

// Long lines cost no more than their length, and what stands late on one is found too.
func TestLongLines(t *testing.T) {
	t.Parallel()
	token := "ghp_" + "16C7e42F292c6912E7K0c838347Ae178B4aQ"
	for _, filler := range []string{"ghp_ is what it begins with; ", "a password of ours is ", "-----BEGIN PRIVATE KEY-----", "https://a.example/b:c/", "authorization: none, "} {
		text := strings.Repeat(filler, 1<<20/len(filler)) + " " + token + " "
		_, _, found := Mask("a", []byte(text))
		if len(found) != 1 || found[0].Rule != "github-token" {
			t.Errorf("behind %q: %d findings", filler, len(found))
		}
	}
}

func FuzzMask(f *testing.F) {
	for i := range rules {
		for _, e := range append(rules[i].Finds, rules[i].Leaves...) {
			path, text := example(&rules[i], e)
			f.Add(path, text)
		}
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		masked, parsable, found := Mask(path, []byte(text))
		if len(masked) != len(text) || len(parsable) != len(text) {
			t.Fatal("the length has changed")
		}
		if bytes.Count(masked, []byte("\n")) != strings.Count(text, "\n") {
			t.Fatal("the lines have changed")
		}
		for i, f := range found {
			if f.Line < 1 || f.Line > 1+strings.Count(text, "\n") || len(f.Excerpt) > maxExcerpt+1 {
				t.Errorf("finding %+v", f)
			}
			if utf8.ValidString(text) && !utf8.ValidString(f.Excerpt) {
				t.Errorf("excerpt %q", f.Excerpt)
			}
			if i > 0 && f.Line < found[i-1].Line {
				t.Errorf("findings out of order: %+v", found)
			}
		}
	})
}

// A file of code without any secret, for the cost of looking.
func BenchmarkMask(b *testing.B) {
	text := bytes.Repeat([]byte("func (s *Server) handle(ctx context.Context, r *Request) error {\n\ttoken := s.next()\n\tif token == nil {\n\t\treturn fmt.Errorf(\"no token\")\n\t}\n\treturn s.write(ctx, r.Body, r.Header)\n}\n\n"), 500)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Mask("a.go", text)
	}
}
