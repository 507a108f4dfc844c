package pgmq_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// Programs that know PGMQ and nothing of us work. What they do and expect is in
// the script of their name in clients/; package-lock.json says which they are.
func TestClients(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t)
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, pool *pgxpool.Pool, modules string)
	}{
		// It leaves types open, as in read($1, $2, $3), which the extension may refuse.
		{"pgmq-js", func(t *testing.T, _ *pgxpool.Pool, _ string) { ownOnly(t) }},
		{"pgflow-core", installPgflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := newPool(t)
			tt.prepare(t, pool, modules)
			runNode(t, pool, modules, tt.name+".mjs")
		})
	}
}

// missing skips a test for want of something outside of us, which CI has.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// nodeModules returns a directory of the packages that package-lock.json names.
// They are downloaded once and kept in the user's cache.
func nodeModules(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, "%s is not installed: apt-get install nodejs npm", program)
		}
	}
	lock, err := os.ReadFile("clients/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	if cache, err := os.UserCacheDir(); err == nil {
		parent = filepath.Join(cache, "htdag-clients")
	}
	modules := filepath.Join(parent, fmt.Sprintf("%x", sha256.Sum256(lock))[:16], "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}

	// Made aside and renamed, so that the place holds either all packages or none.
	if err := os.MkdirAll(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	aside, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(aside)
	copyFile(t, "package.json", aside)
	copyFile(t, "package-lock.json", aside)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund",
		"--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	npm.Dir = aside
	npm.WaitDelay = 5 * time.Second
	if out, err := npm.CombinedOutput(); bytes.Contains(out, []byte("EUSAGE")) || bytes.Contains(out, []byte("EINTEGRITY")) {
		t.Fatalf("npm ci: %v\n%s", err, out)
	} else if err != nil {
		missing(t, "the packages cannot be downloaded: npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(aside, filepath.Dir(modules)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return modules
}

// runNode runs a script of clients/ on the database of a pool.
func runNode(t *testing.T, pool *pgxpool.Pool, modules, script string) {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, script, dir)
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", script)
	node.Dir = dir
	node.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "DATABASE_URL=" + dbtest.URL(pool)}
	node.WaitDelay = 5 * time.Second
	if out, err := node.CombinedOutput(); err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, out)
	}
}

func copyFile(t *testing.T, name, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("clients", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// installPgflow runs the migrations of @pgflow/core, which use PGMQ's functions,
// types and tables. Around them stands a Realtime service that only takes notes.
func installPgflow(t *testing.T, pool *pgxpool.Pool, modules string) {
	t.Helper()
	dbtest.Exec(t, pool, "create schema realtime")
	dbtest.Exec(t, pool, "create table realtime.sent (payload jsonb, event text, topic text, private boolean)")
	dbtest.Exec(t, pool, `create function realtime.send(payload jsonb, event text, topic text, private boolean default true)
		returns void language sql as 'insert into realtime.sent values (payload, event, topic, private)'`)

	names, err := filepath.Glob(filepath.Join(modules, "@pgflow/core/dist/supabase/migrations/*.sql"))
	if err != nil || len(names) == 0 {
		t.Fatalf("@pgflow/core has no migrations: %v", err)
	}
	const extension = `CREATE EXTENSION IF NOT EXISTS "pgmq" WITH SCHEMA "pgmq";`
	extensions := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		script := string(text)
		extensions += strings.Count(script, extension)
		if *extensionURL == "" {
			// The one statement that needs the extension and not its interface.
			script = strings.ReplaceAll(script, extension, "")
		}
		err = pool.AcquireFunc(t.Context(), func(conn *pgxpool.Conn) error {
			_, err := conn.Conn().PgConn().Exec(t.Context(), script).ReadAll()
			return err
		})
		if err != nil {
			t.Fatalf("%s: %v", filepath.Base(name), err)
		}
	}
	if extensions != 1 {
		t.Errorf("the migrations create the extension %d times, want 1", extensions)
	}
}
