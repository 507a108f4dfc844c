package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Recorder takes facts about files to where they are kept. The calls for one root
// come one after the other; those for different roots may overlap.
type Recorder interface {
	// RecordChanges records facts about a few files of one root. It must be
	// repeatable: after an error it is called again for the same paths, for ever,
	// with facts read afresh. A fact may repeat what is recorded already, and one
	// that says gone may name a path that was never recorded.
	RecordChanges(ctx context.Context, root Root, changes []Change) error
	// RequestScan asks for a whole scan of the root: at start, after an overflow,
	// for a burst of more than BurstSize changes, and now and then. A scan that is
	// under way does not answer the request: one must begin after it has ended.
	// What a scan finds must give way to facts that were seen later, File.SeenAt
	// says when; what it does not find was last seen before it began.
	RequestScan(ctx context.Context, root Root, reason string) error
}

// Root is one directory tree to watch.
type Root struct {
	CodebaseID int32
	Name       string
	Path       string // absolute; may be a symbolic link to a directory
	Ref        string // of the git repository at Path: such a root is scanned, not watched
}

// Change is a fact about one path: it holds this file, or it is gone.
type Change struct {
	Path    string   // relative to the root, as EscapePath writes it
	Gone    bool     // no regular file is there; of File only Path and SeenAt are set
	File    File     // as the disk reported it
	SHA256  [32]byte // of the content; zero when Gone or Err
	Content []byte   // nil when larger than KeepLimit, Gone or Err
	Err     string   // why the content could not be read; empty when it could
}

// Options are the settings of a Watcher. Zero values mean the defaults.
type Options struct {
	Filter

	DebounceDelay     time.Duration // quiet time before a change is looked at; default 500 ms
	MaxWait           time.Duration // a path that is never quiet is looked at this often; default 10 s
	BurstSize         int           // more changes than this at once become a scan; default 50
	BatchSize         int           // changes in one call of RecordChanges at most; default 50
	ReconcileInterval time.Duration // between scans that nothing but time asked for, jittered by a tenth; default 5 min, negative for never
	Mode              Mode          // how changes are found; default Auto
	PollInterval      time.Duration // between looks at directories that are polled; default 2 s
	RootInterval      time.Duration // between checks that roots are (still) there; default 1 s
	RetryDelay        time.Duration // before the first retry of a failed recording, doubled up to 30 s; default 500 ms
	KeepLimit         int64         // bytes up to which a Change carries its content; default 10 MiB

	newNotifier func() (*notifier, error) // fsnotify unless a test limits it
	remote      func(dir string) string   // the kind of file system that says nothing of changes made elsewhere; statfs unless a test says otherwise
}

// Mode is how changes of the directories of a root are found.
type Mode string

const (
	Auto   Mode = "auto"   // by events; by polling where the file system is one that others write to as well, or there are no watches left
	Events Mode = "events" // by events; by polling only where there are no watches left
	Poll   Mode = "poll"   // by polling
)

func (o Options) withDefaults() Options {
	o.DebounceDelay = cmp.Or(o.DebounceDelay, 500*time.Millisecond)
	o.MaxWait = max(cmp.Or(o.MaxWait, 10*time.Second), o.DebounceDelay)
	o.BurstSize = cmp.Or(o.BurstSize, 50)
	o.BatchSize = cmp.Or(o.BatchSize, 50)
	o.ReconcileInterval = cmp.Or(o.ReconcileInterval, 5*time.Minute)
	o.Mode = cmp.Or(o.Mode, Auto)
	o.PollInterval = cmp.Or(o.PollInterval, 2*time.Second)
	o.RootInterval = cmp.Or(o.RootInterval, time.Second)
	o.RetryDelay = cmp.Or(o.RetryDelay, 500*time.Millisecond)
	o.KeepLimit = cmp.Or(o.KeepLimit, 10<<20)
	if o.newNotifier == nil {
		o.newNotifier = newNotifier
	}
	if o.remote == nil {
		o.remote = remoteKind
	}
	return o
}

// notifier is the part of fsnotify that the watcher uses.
type notifier struct {
	events <-chan fsnotify.Event
	errors <-chan error
	add    func(dir string) error
	remove func(dir string) error
	close  func() error
}

// eventBuffer lets fsnotify read on while a large directory is being walked.
const eventBuffer = 8192

func newNotifier() (*notifier, error) {
	w, err := fsnotify.NewBufferedWatcher(eventBuffer)
	if err != nil {
		return nil, err
	}
	return &notifier{events: w.Events, errors: w.Errors, add: w.Add, remove: w.Remove, close: w.Close}, nil
}

// Watcher watches roots and feeds a Recorder.
type Watcher struct {
	opts   Options
	rec    Recorder
	log    *slog.Logger
	reader Reader

	mu      sync.Mutex
	roots   map[int32]*rootState
	ids     map[fileID]*node // watched directories, to notice that one has moved
	links   hardLinks
	infos   map[string][]*node // exclude files -> work trees they rule
	git     *gitConfig
	notify  *notifier                  // nil where the system has none to give
	short   bool                       // the system ran out of watches, and that was said
	started func(*rootState) (ok bool) // begins to serve a root; nil while not running
}

// New makes a watcher; Run starts it.
func New(opts Options, rec Recorder, log *slog.Logger) *Watcher {
	return &Watcher{
		opts:  opts.withDefaults(),
		rec:   rec,
		log:   log,
		roots: map[int32]*rootState{},
		ids:   map[fileID]*node{},
		links: hardLinks{},
		infos: map[string][]*node{},
		git:   new(gitConfig),
	}
}

// Run watches the roots, and those added later, until ctx ends; then it waits for
// the Recorder's calls to return and returns nil. It fails at once when a root's
// path is not absolute or two roots are one directory. A root that is missing is
// waited for.
func (w *Watcher) Run(ctx context.Context, roots ...Root) error {
	source := w.source(ctx)
	n := cmp.Or(source, &notifier{})
	if source != nil {
		defer n.close()
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	w.mu.Lock()
	if w.started != nil {
		w.mu.Unlock()
		return errors.New("watcher: Run called while running")
	}
	w.notify = source
	w.started = func(rs *rootState) bool {
		if ctx.Err() != nil {
			return false
		}
		own, stop := context.WithCancel(ctx)
		rs.stop = stop
		wg.Go(func() { w.deliver(own, rs) })
		return true
	}
	w.mu.Unlock()
	defer w.shutdown()
	for _, r := range roots {
		if err := w.Add(r); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
	wg.Go(func() { w.upkeep(ctx) })
	lost := make(chan error, 1)
	wg.Go(func() { relay(ctx, n.errors, lost) })
	w.listen(ctx, n.events, lost)
	return nil
}

// source opens the source of events; nil where there is to be none, or can be none.
func (w *Watcher) source(ctx context.Context) *notifier {
	if w.opts.Mode == Poll {
		w.log.InfoContext(ctx, "polling, as the settings say", "every", w.opts.PollInterval)
		return nil
	}
	n, err := w.opts.newNotifier()
	if err != nil {
		w.log.WarnContext(ctx, "no file events to be had, polling instead", "error", err)
		return nil
	}
	return n
}

// shutdown forgets the roots, so that Run may be called again.
func (w *Watcher) shutdown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rs := range w.roots {
		w.drop(rs)
	}
	w.started, w.notify, w.short = nil, nil, false
}

// listen turns events into marks until ctx ends.
func (w *Watcher) listen(ctx context.Context, events <-chan fsnotify.Event, lost <-chan error) {
	for {
		select {
		case <-ctx.Done():
			return
		case ev, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			w.handle(ev)
		case err := <-lost:
			w.trouble(ctx, err)
		}
	}
}

// relay takes errors from fsnotify and keeps one for the listener. It must not
// wait for anything: fsnotify may hold its own lock while it hands over an error,
// and the listener, while it handles an event, may want that lock.
func relay(ctx context.Context, errs <-chan error, lost chan<- error) {
	for {
		select {
		case <-ctx.Done():
			return
		case err, ok := <-errs:
			if !ok {
				return
			}
			if errors.Is(err, syscall.EINVAL) {
				continue // it let go of a directory that the kernel had let go of already
			}
			select {
			case lost <- err:
			default: // one is enough: it leads to a scan of everything
			}
		}
	}
}

// Add begins to watch another root while Run runs.
func (w *Watcher) Add(root Root) error {
	if !filepath.IsAbs(root.Path) {
		return fmt.Errorf("watch root %s: path %q is not absolute", root.Name, root.Path)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started == nil {
		return fmt.Errorf("watch root %s: the watcher is not running", root.Name)
	}
	canonical, err := CheckRoot(root.Path)
	if canonical == "" { // not there yet
		canonical = filepath.Clean(root.Path)
	}
	for _, other := range w.roots {
		if other.CodebaseID == root.CodebaseID || other.path == canonical {
			return fmt.Errorf("watch root %s at %s: root %s at %s is watched already", root.Name, root.Path, other.Name, other.Path)
		}
	}
	rs := &rootState{
		Root:  root,
		path:  canonical,
		dirty: newDirtySet(w.opts.DebounceDelay, w.opts.MaxWait, w.opts.RetryDelay, w.opts.BurstSize),
		repos: map[*node]bool{},
		rules: map[*node]bool{},
		polls: map[*node]bool{},
		next:  w.nextReconcile(),

		sighted: map[string]bool{},
	}
	if !w.started(rs) {
		return fmt.Errorf("watch root %s: the watcher is stopping", root.Name)
	}
	w.roots[root.CodebaseID] = rs
	w.borders(rs.path, fmt.Sprintf("root %s now has part of this one", root.Name))
	if err != nil && !errors.Is(err, ErrRootEmpty) {
		rs.trouble = err.Error()
		w.log.Warn("root cannot be watched yet, waiting for it", "root", root.Name, "error", err)
		return nil
	}
	w.establish(rs, "start")
	return nil
}

// Remove ends watching a root. Facts not yet recorded are dropped.
func (w *Watcher) Remove(codebaseID int32) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rs, ok := w.roots[codebaseID]
	if !ok {
		return fmt.Errorf("remove root: codebase %d is not watched", codebaseID)
	}
	w.drop(rs)
	w.borders(rs.path, fmt.Sprintf("root %s no longer has part of this one", rs.Name))
	return nil
}

func (w *Watcher) drop(rs *rootState) {
	rs.removed = true
	w.lose(rs)
	rs.stop()
	delete(w.roots, rs.CodebaseID)
}

// Rescan walks every root again and asks for its scan, as the periodic reconcile
// does.
func (w *Watcher) Rescan(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rs := range w.roots {
		w.rescan(rs, reason)
	}
}

func (w *Watcher) rescan(rs *rootState, reason string) {
	if rs.present {
		rs.stale = true
		rs.dirty.markScan(reason, time.Now(), true)
	}
}

// borders lets the roots around path know that it became, or ceased to be, a root
// of its own: a file belongs to the innermost root that holds it.
func (w *Watcher) borders(path, reason string) {
	for _, rs := range w.roots {
		if rs.present && rs.path != path && within(path, rs.path) {
			if rel, err := filepath.Rel(rs.path, path); err == nil {
				if n := rs.find(rel); n != nil {
					w.detach(n, false)
				}
			}
			w.rescan(rs, reason)
		}
	}
}

// Scan scans a root as the watcher sees it: with its settings, and without the
// parts that are roots of their own. The root need not be watched.
func (w *Watcher) Scan(ctx context.Context, root Root, yield func(File) error) (Summary, error) {
	w.mu.Lock()
	f := w.opts.Filter
	f.Exclude = w.exclude(root.CodebaseID)
	w.mu.Unlock()
	return Scan(ctx, root.Path, f, func(f File) error {
		w.Saw(root.Path, f.Path)
		return yield(f)
	})
}

// Saw tells the watcher that a scan came across a file. Of what comes and goes before
// an event or a poll leads to it the scan alone knows; without this it would be
// recorded, and its end would be missed.
func (w *Watcher) Saw(root, path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rs := range w.roots {
		if rs.Path != root || !rs.present {
			continue
		}
		name, err := UnescapePath(path)
		if err != nil {
			continue
		}
		switch n := rs.find(filepath.Dir(name)); {
		case n == nil || n.level == nil:
			rs.sighted[path] = true // until the next poll, which finds the directory if it is there
		case rs.polls[n]:
			n.files[filepath.Base(name)] = true
		}
	}
}

// ReadFile reads a file of a root, with its data when it is not over KeepLimit.
func (w *Watcher) ReadFile(ctx context.Context, root Root, path string) (Content, error) {
	return w.reader.ReadFile(ctx, root.Path, path, w.opts.KeepLimit)
}

func (w *Watcher) exclude(codebaseID int32) []string {
	list := append([]string(nil), w.opts.Exclude...)
	for id, rs := range w.roots {
		if id != codebaseID {
			list = append(list, rs.path)
		}
	}
	return list
}

// Status is the state of one root.
type Status struct {
	Root        Root
	Present     bool   // false while the root is missing
	Trouble     string // why it is not present
	Directories int    // known directories
	Polled      int    // of those, how many get no events
	Dirty       int    // paths that wait to be looked at
	Busy        bool   // a scan is wanted, or facts are being recorded
}

// Status reports on every root, in no particular order.
func (w *Watcher) Status() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []Status
	for _, rs := range w.roots {
		s := Status{Root: rs.Root, Present: rs.present, Trouble: rs.trouble, Directories: rs.top.count(), Polled: len(rs.polls)}
		s.Dirty, s.Busy = rs.dirty.state()
		out = append(out, s)
	}
	return out
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == filepath.Separator || strings.HasSuffix(dir, string(filepath.Separator)))
}

func (w *Watcher) nextReconcile() time.Time {
	every := w.opts.ReconcileInterval
	return time.Now().Add(every + time.Duration((rand.Float64()-0.5)*0.2*float64(every)))
}
