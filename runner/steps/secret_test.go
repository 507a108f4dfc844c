package steps

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner/ingest"
)

const (
	hiddenPassword = "c4ts-and-D0gs"
	hiddenToken    = "16C7e42F292c6912E7K0c838347Ae178B4aQ"
	hiddenKey      = "MIIEpAIBAAKCAQEA7yXtCqOm3ZyqQp0V5sRZ8wHn4kLgJc9dTb1fUx2eYvMjWkPi"
)

var secretTree = map[string]string{
	"main.go": "package main\n\n// dial uses the token ghp_" + hiddenToken + " for now.\nfunc dial() { open(\"postgres://app:" + hiddenPassword + "@db/app\") }\n\n" +
		"const password = \"" + hiddenPassword + "\"\n",
	"deploy.yaml":  "database:\n  password: " + hiddenPassword + "\n  host: db\n",
	"key.pem":      "-----BEGIN PRIVATE KEY-----\n" + hiddenKey + "\n" + hiddenKey + "\n-----END PRIVATE KEY-----\n",
	"wide.txt":     "\xff\xfe" + wide("password = \""+hiddenPassword+"\"\n"),
	"lines.min.js": "var a=1;" + strings.Repeat("b(1);", 2000) + "token=\"ghp_" + hiddenToken + "\";",
}

func wide(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteString(text[i : i+1])
		b.WriteByte(0)
	}
	return b.String()
}

// Whatever way a file is ingested, its secrets are reported and stand nowhere but in the
// contents that it can be extracted from anew.
func TestSecretsAreFoundAndMasked(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	c.write(secretTree)
	c.ingestAll()
	found := []string{
		"deploy.yaml | 2 | configured-secret | password: *************",
		"key.pem | 1 | private-key | -----BEGIN PRIVATE KEY-----",
		`lines.min.js | 1 | github-token | ` + strings.Repeat("b(1);", 17) + `token="****************************************";`,
		"main.go | 3 | github-token | // dial uses the token ghp_************************************ for now.",
		`main.go | 4 | password-in-address | func dial() { open("postgres://app:*************@db/app") }`,
		`main.go | 6 | assigned-password | const password = "*************"`,
		`wide.txt | 1 | assigned-password | password = "*************"`,
	}
	reported := func() []string {
		return c.query(`select path, line, rule, excerpt from report.findings order by path collate "C", line`)
	}
	got := reported()
	for i := range got {
		if strings.HasPrefix(got[i], "lines.min.js") { // where its excerpt begins is of no interest
			_, end, _ := strings.Cut(got[i], "b(1);token")
			got[i] = "lines.min.js | 1 | github-token | " + strings.Repeat("b(1);", 17) + "token" + end
		}
	}
	if diff := cmp.Diff(found, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	c.nowhere(t, hiddenPassword, hiddenToken, hiddenKey)

	if got := c.query(`select name, signature, doc from code.symbols where name in ('dial', 'password') order by 1, 2`); len(got) != 3 ||
		!strings.HasSuffix(got[0], "| dial uses the token ghp_************************************ for now.") ||
		got[1] != `password | const password = "*************" | -` || got[2] != "password | password: ************* | -" {
		t.Errorf("symbols %q", got)
	}
	if got := c.query("select count(*) from code.chunks k join code.files f using (file_id) join code.blobs b using (sha256) where f.path = 'main.go' and octet_length(k.content) = b.bytes"); got[0] != "1" {
		t.Error("the text of main.go is not as long as its content")
	}
	for _, search := range []string{
		"select count(*) from code.search($1)", "select count(*) from code.substring_search($1)", "select count(*) from code.regex_search($1)",
	} {
		for _, hidden := range []string{hiddenPassword, hiddenToken[:12], hiddenKey[:20]} {
			if n := c.query(strings.Replace(search, "count(*)", "count(*) filter (where r::text like '%' || $1 || '%')", 1)+" r", hidden); n[0] != "0" {
				t.Errorf("%s finds %s", search, hidden)
			}
		}
	}

	// An edit, one file at a time.
	c.write(map[string]string{"main.go": strings.Replace(secretTree["main.go"], "const password = \""+hiddenPassword+"\"", "var x = 1", 1)})
	c.ingestFile("main.go")
	if got := c.query("select line, rule from report.findings where path = 'main.go' order by 1"); !cmp.Equal(got, []string{"3 | github-token", "4 | password-in-address"}) {
		t.Errorf("after the edit main.go has %q", got)
	}
	c.nowhere(t, hiddenPassword, hiddenToken, hiddenKey)
	c.remove("deploy.yaml")
	c.ingestFile("deploy.yaml")
	if got := c.query("select count(*) from report.findings where path = 'deploy.yaml'"); got[0] != "0" {
		t.Error("a deleted file has findings")
	}
	if broken := c.query("select * from code.invariant_violations"); len(broken) > 0 {
		t.Error(broken)
	}
}

// nowhere looks for texts in every table of the corpus but the contents, and in what the
// engine keeps of runs.
func (c *corpus) nowhere(t *testing.T, texts ...string) {
	t.Helper()
	for _, table := range c.query(`select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('code', 'htdag', 'pgmq') and tablename <> 'blobs' order by 1`) {
		for _, text := range texts {
			if n := c.query(fmt.Sprintf("select count(*) from %s t where position($1 in t::text) > 0", table), text); n[0] != "0" {
				t.Errorf("%s stands in %s rows of %s", text, n[0], table)
			}
		}
	}
}

// Switched off, nothing is found and nothing masked; switched on again, what was stored
// meanwhile is looked at again.
func TestSecretsCanBeKept(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	c.steps.limits.Gates = ingest.Gates{Limits: c.steps.limits.Limits, KeepSecrets: true}
	c.write(secretTree)
	c.ingestAll()
	if got := c.query("select count(*) from report.findings"); got[0] != "0" {
		t.Errorf("%s findings", got[0])
	}
	if got := c.query("select count(*) from code.substring_search($1)", hiddenPassword); got[0] != "4" {
		t.Errorf("%s lines have the password", got[0])
	}
	c.steps.limits.KeepSecrets = false
	if out := c.ingestAll(); out.FilesChanged != len(secretTree) {
		t.Errorf("%d files were looked at again", out.FilesChanged)
	}
	if got := c.query("select count(*) from report.findings"); got[0] != "7" {
		t.Errorf("%s findings", got[0])
	}
	c.nowhere(t, hiddenPassword, hiddenToken, hiddenKey)
	if out := c.ingestAll(); out.FilesChanged != 0 {
		t.Errorf("%d files were looked at once more", out.FilesChanged)
	}
}
