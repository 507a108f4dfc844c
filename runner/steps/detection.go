package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner"
)

// detected is the output of file_detection.
type detected struct {
	FileID  int64  `json:"file_id,omitempty"`
	Outcome string `json:"outcome"` // recorded, unchanged, deleted or unreadable
	Bytes   int64  `json:"bytes,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// fileDetection looks at the disk and records what is there: facts and content,
// or that nothing is.
func (s *steps) fileDetection(ctx context.Context, w *work) (any, error) {
	if w.wholeCodebase() {
		return nil, runner.Permanent(errors.New(`input has no "path": ingest_file needs one, ingest_codebase takes a whole codebase`))
	}
	if !filepath.IsLocal(filepath.FromSlash(w.input.Path)) {
		return nil, runner.Permanent(fmt.Errorf("path %q is not below the codebase's root: give it relative to that, without any \"..\" in it", w.input.Path))
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	c, err := w.codebase(ctx, q)
	if err != nil {
		return nil, err
	}
	seen := time.Now()
	content, err := s.disk.Read(ctx, rootOf(c), w.input.Path, s.limits.KeepBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotRegular):
		if _, err := q.ForgetFiles(ctx, c.CodebaseID, []string{w.input.Path}, seen); err != nil {
			return nil, fmt.Errorf("forget %s: %w", w.input.Path, err)
		}
		return detected{Outcome: "deleted"}, nil
	case errors.Is(err, fs.ErrPermission):
		content = Content{File: File{Path: w.input.Path, SeenAt: seen}}
	case err != nil:
		return nil, fmt.Errorf("read %s below %s: %w", w.input.Path, rootOf(c), err)
	}

	var facts facts
	if err != nil {
		facts.unreadable(content.File, err)
	} else {
		if _, err := q.StoreBlobs(ctx, [][]byte{content.SHA256[:]}, []int64{content.File.Bytes}, [][]byte{content.Data}); err != nil {
			return nil, fmt.Errorf("store content of %s: %w", w.input.Path, err)
		}
		facts.readable(content.File, content.SHA256[:])
	}
	recorded, err := facts.record(ctx, q, c.CodebaseID, s.limits.Version())
	if err != nil {
		return nil, err
	}
	out := detected{FileID: recorded[0].FileID, Outcome: "recorded", Bytes: content.File.Bytes}
	switch {
	case facts.Sha256s[0] == nil:
		out.Outcome, out.Reason = "unreadable", facts.Reasons[0]
	case !recorded[0].Due:
		out.Outcome = "unchanged"
	}
	if facts.Sha256s[0] != nil {
		out.SHA256 = fmt.Sprintf("%x", content.SHA256)
	}
	return out, nil
}

// facts gathers what is to be recorded about files.
type facts struct{ dbsqlc.RecordFilesParams }

func (f *facts) readable(file File, sha256 []byte) { f.add(file, sha256, "") }

func (f *facts) unreadable(file File, err error) { f.add(file, nil, unreadable(err)) }

func unreadable(err error) string {
	var s special
	if errors.As(err, &s) {
		return string(s)
	}
	return "unreadable: " + rootCause(err)
}

// special is why something is not read that is no regular file.
type special string

func (s special) Error() string { return string(s) }

func (f *facts) add(file File, sha256 []byte, reason string) {
	f.Paths = append(f.Paths, file.Path)
	f.Bytes = append(f.Bytes, file.Bytes)
	f.ModifiedNs = append(f.ModifiedNs, file.ModifiedNs)
	f.Modes = append(f.Modes, int32(file.Mode))
	f.Inodes = append(f.Inodes, file.Inode)
	f.Owners = append(f.Owners, file.Owner)
	f.Sha256s = append(f.Sha256s, sha256)
	f.Reasons = append(f.Reasons, reason)
	f.SeenAt = append(f.SeenAt, file.SeenAt)
}

// record writes the facts and returns what became of them, in order of path.
func (f *facts) record(ctx context.Context, q *dbsqlc.Queries, codebaseID, version int32) ([]dbsqlc.CodeRecordedFile, error) {
	f.CodebaseID, f.Version = codebaseID, version
	recorded, err := q.RecordFiles(ctx, f.RecordFilesParams)
	if err != nil {
		return nil, fmt.Errorf("record %d files: %w", len(f.Paths), err)
	}
	return recorded, nil
}

// rootCause leaves out the path, which the row has already.
func rootCause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// findings is the output of the validation steps: what they looked at, and what
// they found that a person may want to know. Nothing here fails a run.
type findings struct {
	Bytes    int64    `json:"bytes,omitempty"`
	Mode     string   `json:"mode,omitempty"`
	Owner    string   `json:"owner,omitempty"`
	Findings []string `json:"findings"`
}

func (s *steps) fileValidation(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if !f.exists {
		return skippedDeleted, nil
	}
	out := findings{Bytes: f.file.Bytes, Findings: []string{}}
	if f.file.Bytes == 0 {
		out.Findings = append(out.Findings, "empty")
	}
	if f.file.Bytes > s.limits.KeepBytes {
		out.Findings = append(out.Findings, "too large")
	}
	if strings.Contains(f.file.Path, `\x`) {
		out.Findings = append(out.Findings, "path is not UTF-8")
	}
	if strings.ContainsFunc(f.file.Path, unicode.IsControl) {
		out.Findings = append(out.Findings, "control characters in path")
	}
	return out, nil
}

// contentFacts is the output of content_validation.
type contentFacts struct {
	Verdict   string `json:"verdict"` // ingested, partial or skipped, before parsing
	Reason    string `json:"reason,omitempty"`
	Lines     int    `json:"lines"`
	Encoding  string `json:"encoding,omitempty"`
	Binary    bool   `json:"binary"`
	Generated bool   `json:"generated"`
	Minified  bool   `json:"minified"`
	Vendored  bool   `json:"vendored"`
	Secrets   int    `json:"secrets"` // found and masked
}

func (s *steps) contentValidation(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if out, idle := f.idle(); idle {
		return out, nil
	}
	p, err := f.judgement(ctx, s, w)
	if err != nil {
		return nil, err
	}
	return contentFacts{
		Verdict: p.Status, Reason: p.Reason, Lines: p.Lines, Encoding: p.Encoding,
		Binary: p.Binary, Generated: p.Generated, Minified: p.Minified, Vendored: p.Vendored,
		Secrets: len(p.findings),
	}, nil
}

func (s *steps) permissionCheck(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if !f.exists {
		return skippedDeleted, nil
	}
	mode := f.file.Mode
	out := findings{Mode: fmt.Sprintf("%04o", mode), Findings: []string{}}
	if f.file.Owner != nil {
		out.Owner = *f.file.Owner
	}
	for _, check := range []struct {
		bits    int32
		finding string
	}{
		{0o002, "writable by everyone"},
		{0o4000, "setuid"},
		{0o2000, "setgid"},
	} {
		if mode&check.bits != 0 {
			out.Findings = append(out.Findings, check.finding)
		}
	}
	if f.unreadable() {
		out.Findings = append(out.Findings, "unreadable")
	}
	return out, nil
}
