package steps

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// meddling is a disk on which something happens between the scan and what is made of it.
type meddling struct {
	osDisk
	after func()
}

func (d meddling) Scan(ctx context.Context, root Root, yield func(File) error) ([]string, error) {
	unread, err := d.osDisk.Scan(ctx, root, yield)
	d.after()
	return unread, err
}

// A file that goes after the scan has read it and before it is stored is reported gone
// when nobody knows of it yet. It must not come to be known afterwards, for good.
func TestFileGoesDuringScan(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(map[string]string{"stays.go": "package m\n", "brief.go": "package m\n\nfunc Brief() {}\n", "back.go": "package m\n", "pipe.go": "package m\n"})
	tell := func(path string, want string) {
		t.Helper()
		// As the watcher does, which looks at a path when it has heard of it.
		got := c.query(`select outcome from code.record_changes('m', 1, array[$1::text], '{true}', '{0}', '{0}', '{0}', '{0}', '{}', array[null::bytea],
			array[null::bytea], '{}', array[htdag.clock()])`, path)
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("%s is reported gone: %s", path, diff)
		}
	}
	c.steps.disk = meddling{after: func() {
		c.remove("brief.go")
		tell("brief.go", "unknown")
		c.remove("back.go")
		tell("back.go", "unknown")
		c.write(map[string]string{"back.go": "package m\n\nfunc Back() {}\n"}) // whoever watches looks at it again
		c.remove("pipe.go")
		if err := os.Mkdir(filepath.Join(c.root, "pipe.go"), 0o755); err != nil {
			t.Fatal(err)
		}
		tell("pipe.go", "unknown")
	}}
	out := c.ingestAll()
	if out.FilesSeen != 2 || out.FilesChanged != 2 {
		t.Errorf("the scan says %d files were seen and %d changed, want 2 and 2", out.FilesSeen, out.FilesChanged)
	}
	want := []string{"back.go | ingested", "brief.go | deleted", "pipe.go | deleted", "stays.go | ingested"}
	if diff := cmp.Diff(want, c.query("select path, status from code.files order by 1")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := c.query("select name from code.symbols"); len(got) > 0 {
		t.Errorf("symbols of files that are gone: %q", got)
	}

	// Likewise one that was known once, and is deleted again.
	c.write(map[string]string{"brief.go": "package m\n\nfunc Again() {}\n"})
	c.steps.disk = meddling{after: func() {
		c.remove("brief.go")
		tell("brief.go", "unchanged")
	}}
	c.ingestAll()
	if diff := cmp.Diff([]string{"deleted"}, c.query("select status from code.files where path = 'brief.go'")); diff != "" {
		t.Errorf("brief.go (-want +got):\n%s", diff)
	}
}
