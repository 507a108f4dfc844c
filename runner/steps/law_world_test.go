package steps

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// world is a made-up tree on disk, with what it was before, and the codebase that is
// kept in step with it.
type world struct {
	*corpus
	rt        *rapid.T
	dialects  []*dialect
	files     map[string]*source
	snapshots []map[string]*source // trees that were there before, as of branches
	changed   map[string]bool      // what the database has not been told yet
	dropped   map[string]bool      // what was removed since it was cleared last, for however short a time
	story     []string
}

// tell notes what happens, for whoever has to find out why it went wrong.
func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// fail ends the check with the whole story.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	var b strings.Builder
	for _, line := range w.story {
		fmt.Fprintf(&b, "%s\n", line)
	}
	for _, name := range w.paths() {
		fmt.Fprintf(&b, "--- %s\n%s", name, w.files[name].text())
	}
	w.rt.Fatalf("%s\n%s", fmt.Sprintf(format, args...), b.String())
}

func newWorld(t *rapid.T, c *corpus) *world {
	w := &world{corpus: c, rt: t, files: map[string]*source{}, changed: map[string]bool{}, dropped: map[string]bool{}}
	// One language, sometimes a second one beside it.
	names := slices.Sorted(maps.Keys(dialects))
	weighted := append(names, "Go", "Go", "Python", "Python", "TypeScript", "TypeScript", "Rust")
	for range 1 + roll(t, 3, "languages")/2 {
		w.dialects = append(w.dialects, dialects[pick(t, weighted, "language")])
	}
	return w
}

func (w *world) put(name string, s *source) {
	w.tell("  %s: %q", name, s.text())
	w.files[name] = s
	w.write(map[string]string{name: s.text()})
	w.changed[name] = true
}

func (w *world) drop(name string) {
	w.tell("  %s is gone", name)
	delete(w.files, name)
	w.remove(name)
	w.changed[name], w.dropped[name] = true, true
}

func (w *world) paths() []string { return slices.Sorted(maps.Keys(w.files)) }

// create makes a file, or what declares where imports begin.
func (w *world) create() {
	d := w.dialects[roll(w.rt, len(w.dialects), "dialect")]
	if len(d.manifests) > 0 && roll(w.rt, 5, "manifest") == 0 {
		name := pick(w.rt, slices.Sorted(maps.Keys(d.manifests)), "name")
		w.tell("manifest %s", name)
		w.put(name, &source{dialect: d, odd: pick(w.rt, d.manifests[name], "manifest")})
		return
	}
	name, s := d.file(w.rt)
	w.tell("write %s", name)
	w.put(name, s)
}

// operate does what people do to trees.
func (w *world) operate() {
	t := w.rt
	if len(w.files) == 0 {
		w.create()
		return
	}
	name := pick(t, w.paths(), "file")
	s := w.files[name]
	other := path.Join(pick(t, s.dialect.directories, "directory"), path.Base(name))
	switch op := roll(t, 16, "operation"); op {
	case 0, 1, 2, 3:
		w.create()
	case 4, 5, 6, 7, 8:
		e := s.clone()
		for range 1 + roll(t, 2, "edits") {
			e.edit(t, name)
		}
		w.tell("edit %s", name)
		w.put(name, e)
	case 9:
		w.tell("delete %s", name)
		w.drop(name)
	case 10:
		other = path.Join(path.Dir(other), pick(t, s.dialect.bases, "base")+path.Ext(name))
		w.tell("rename %s to %s", name, other)
		w.drop(name)
		w.put(other, s)
	case 11:
		w.tell("copy %s to %s", name, other)
		w.put(other, s)
	case 12:
		from, to := path.Dir(name), path.Dir(other)
		w.tell("move directory %s to %s", from, to)
		moved := map[string]*source{}
		for _, p := range w.paths() {
			if strings.HasPrefix(p, from+"/") && from != to {
				moved[path.Join(to, strings.TrimPrefix(p, from+"/"))] = w.files[p]
				w.drop(p)
			}
		}
		for _, p := range slices.Sorted(maps.Keys(moved)) {
			w.put(p, moved[p])
		}
	case 13:
		w.tell("remove directory %s", path.Dir(name))
		for _, p := range w.paths() {
			if strings.HasPrefix(p, path.Dir(name)+"/") {
				w.drop(p)
			}
		}
	default:
		if len(w.snapshots) == 0 {
			w.create()
			return
		}
		past := w.snapshots[roll(t, len(w.snapshots), "snapshot")]
		if op == 14 { // of one file
			if s := past[name]; s != nil {
				w.tell("revert %s", name)
				w.put(name, s)
			}
			return
		}
		w.tell("switch to another branch")
		for _, p := range w.paths() {
			if past[p] == nil {
				w.drop(p)
			}
		}
		for _, p := range slices.Sorted(maps.Keys(past)) {
			if w.files[p] != past[p] {
				w.put(p, past[p])
			}
		}
	}
	w.snapshots = append(w.snapshots, maps.Clone(w.files))
}

// catchUp tells the database what has changed, one file after the other in some order.
func (w *world) catchUp() {
	for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(w.changed))).Draw(w.rt, "order") {
		w.tell("ingest %s", name)
		w.ingestFile(name)
	}
	clear(w.changed)
}

// scan ingests the tree as a whole, in small batches that others may come between:
// somebody saves a file meanwhile, or the run is given up after some of them.
func (w *world) scan() {
	w.steps.limits.BatchFiles = 1 + roll(w.rt, 3, "files in a batch")
	giveUp := -1
	if roll(w.rt, 3, "given up") == 0 {
		giveUp = roll(w.rt, 3, "after batches")
	}
	clear(w.changed)
	w.tell("ingest all, %d files in a batch, given up after %d", w.steps.limits.BatchFiles, giveUp)
	done := w.ingestBatches(func(n int) bool {
		if n == giveUp {
			return false
		}
		if roll(w.rt, 6, "meanwhile") == 0 {
			w.tell("meanwhile, before batch %d", n)
			w.operate()
			if roll(w.rt, 2, "at once") == 0 {
				w.catchUp()
			}
		}
		return true
	})
	if !done {
		// Nothing tells which files were not reached: the next whole ingestion does.
		w.tell("ingest all, to its end")
		w.ingestAll()
		clear(w.changed)
	}
}

// ids are the symbols' by path and key.
func (c *corpus) ids() map[string]string {
	c.t.Helper()
	ids := map[string]string{}
	for _, line := range c.query("select symbol_id, f.path, s.key from code.symbols s join code.files f using (file_id) where f.codebase_id = $1", c.id) {
		id, what, _ := strings.Cut(line, " | ")
		ids[what] = id
	}
	return ids
}

// touch saves a file without changing it.
func (w *world) touch(name string) {
	at := time.Now().Add(-time.Duration(1+rand.IntN(1000)) * time.Minute)
	if err := os.Chtimes(filepath.Join(w.root, name), at, at); err != nil {
		w.t.Fatal(err)
	}
}

// versions says for each table which versions its rows are, of a file but for the
// columns that say when it was seen.
func (c *corpus) versions() []string {
	c.t.Helper()
	var parts []string
	for _, table := range []string{"symbols", "imports", "requirements", "provides", "import_roots", "calls", "chunks", "dependencies", "stale_links", "stale_dependencies"} {
		parts = append(parts, fmt.Sprintf(`select '%s', count(*)::text, md5(string_agg(xmin::text || ctid::text, ' ' order by ctid)) from code.%[1]s where codebase_id = $1`, table))
	}
	parts = append(parts,
		`select 'versions', count(*)::text, max(v.xmin::text::bigint)::text from code.file_versions v join code.files f using (file_id) where f.codebase_id = $1`,
		`select 'files', count(*)::text, md5(string_agg((to_jsonb(f) - array['seen_at', 'modified_ns', 'inode', 'run_id'])::text, ' ' order by f.file_id)) from code.files f where f.codebase_id = $1`,
		`select 'vectors', count(*)::text, null from code.vectors`, `select 'embeddings', count(*)::text, null from code.embeddings`)
	return c.query(strings.Join(parts, " union all "), c.id)
}
