package localpg

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// repository serves an archive in the layout of a Maven repository, and counts
// how often it is asked for.
func repository(t *testing.T) (url string, served *atomic.Int32) {
	t.Helper()
	archive, err := os.ReadFile("testdata/postgres-scripts.txz")
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	f, err := w.Create("postgres-any.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(jar.Bytes())

	served = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/io/zonky/test/postgres/"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".jar"):
			served.Add(1)
			_, _ = w.Write(jar.Bytes())
		case strings.HasSuffix(r.URL.Path, ".jar.sha256"):
			_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		server.Close()
	})
	return server.URL, served
}

// It runs alone, since it sets the environment and the process's umask.
func TestFetch(t *testing.T) {
	installed, err := Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOCALPG_TEST_BINDIR", installed.Dir)
	t.Setenv("TMPDIR", openDir(t)) // where the library leaves an empty file
	t.Cleanup(func() { syscall.Umask(syscall.Umask(0o077)) })
	defer syscall.Umask(syscall.Umask(0o077))

	url, served := repository(t)
	o := options(t)
	o.Repository, o.CacheDir = url+"/", filepath.Join(filepath.Dir(o.Dir), "cache")
	who, err := serverAccount(0)
	if err != nil {
		t.Fatal(err)
	}

	// Two programs that need it at once: one fetches.
	var fetched [2]Binaries
	var wait sync.WaitGroup
	for i := range fetched {
		wait.Go(func() {
			b, err := fetch(t.Context(), o, who, installed.Major)
			if err != nil {
				t.Error(err)
			}
			fetched[i] = b
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	if n := served.Load(); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
	if fetched[0] != fetched[1] || fetched[0].Major != installed.Major || !strings.HasPrefix(fetched[0].Dir, o.CacheDir) {
		t.Errorf("fetched %+v and %+v", fetched[0], fetched[1])
	}
	if left, _ := filepath.Glob(o.CacheDir + "/fetch-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	o.BinDir = fetched[0].Dir
	query(t, start(t, o).URL(""), "select 'works'")
}

func TestFetchFails(t *testing.T) {
	t.Setenv("TMPDIR", openDir(t)) // where the library leaves an empty file
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	defer http.DefaultClient.CloseIdleConnections()
	o := options(t)
	o.Repository = missing.URL
	o, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	in, err := openInstance(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()

	_, err = in.choose(t.Context(), o, 0, finderIn(t))
	want(t, err, ErrNoBinaries, "apt install postgresql", "postgresql-server", "brew install postgresql@17", "no version found")
	_, err = in.choose(t.Context(), o, 99, finderIn(t))
	want(t, err, ErrNoBinaries, "no build of PostgreSQL 99")
	o.CacheDir = ""
	_, err = in.choose(t.Context(), o, 0, finderIn(t))
	want(t, err, ErrNoBinaries)
	if strings.Contains(err.Error(), "fetch") {
		t.Errorf("it should not have tried to fetch: %v", err)
	}
}
