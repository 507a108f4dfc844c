package steps

import (
	"context"
	"crypto/sha1"
	"fmt"

	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/secret"
)

// parsed is everything that ingestion finds out about one file's content.
type parsed struct {
	ingest.Verdict // its Text without secrets
	parsable       []byte
	findings       []secret.Finding
	language       string
	scope          string
	precedence     int16
	extraction     ingest.Extraction
	gitID          []byte // as git names the content; nil where it was not kept
	isDefault      string // what an "export default name" statement names
	chunks         []ingest.Chunk
}

// judge inspects a content and names its language. content is nil for what was
// too large to keep.
func (s *steps) judge(path string, content []byte, size int64) *parsed {
	p := &parsed{Verdict: ingest.Inspect(path, content, size, s.limits.Limits), gitID: gitID(content)}
	p.parsable = p.Text
	if p.Status != ingest.StatusSkipped {
		if !s.limits.KeepSecrets {
			p.Text, p.parsable, p.findings = secret.Mask(path, p.Text)
		}
		p.language = ingest.Detect(path, p.Text)
		p.precedence = precedence(p.language, path, p.Text)
	}
	return p
}

// gitID is the name that git gives a content: of its length and itself.
func gitID(content []byte) []byte {
	if content == nil {
		return nil
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return h.Sum(nil)
}

// extract fills in what the text holds. Text that is not to be parsed is still
// cut into chunks, so that it can be searched, unless there is nothing in it that
// anybody would search for.
func (p *parsed) extract(ctx context.Context, path string) error {
	if p.Status == ingest.StatusSkipped {
		return nil
	}
	if !p.Parse {
		p.extraction = ingest.Extraction{Language: p.language, Provides: []string{lang.PathProvided(path)}}
	} else {
		var err error
		if p.extraction, err = ingest.Extract(ctx, path, p.language, p.parsable); err != nil {
			return fmt.Errorf("extract from %s: %w", path, err)
		}
		p.star()
		if p.extraction.Partial != "" {
			p.lacks(p.extraction.Partial)
		}
	}
	if family(p.language) == "js" {
		p.isDefault = defaultExport(p.Text)
	}
	p.scope = scope(p.language, path, p.extraction.Module)
	if len(p.extraction.Symbols) == 0 && ingest.Random(p.Text) {
		p.lacks("looks random: its text is not indexed for search")
		return nil
	}
	p.chunks = ingest.Chunks(string(p.Text), p.extraction.Symbols)
	return nil
}

// star has secrets look the same in what was extracted as in the text.
func (p *parsed) star() {
	if len(p.findings) == 0 {
		return
	}
	ex := &p.extraction
	ex.Doc = secret.Starred(ex.Doc)
	for i := range ex.Symbols {
		s := &ex.Symbols[i]
		s.Signature, s.Doc = secret.Starred(s.Signature), secret.Starred(s.Doc)
	}
}

// lacks notes that something is missing.
func (p *parsed) lacks(what string) {
	p.Status = ingest.StatusPartial
	if p.Reason != "" {
		p.Reason += "; "
	}
	p.Reason += what
}

// parseFile does all that needs nothing but the path and the bytes.
func (s *steps) parseFile(ctx context.Context, path string, content []byte, size int64) (*parsed, error) {
	p := s.judge(path, content, size)
	if err := p.extract(ctx, path); err != nil {
		return nil, err
	}
	return p, nil
}

// lines is -1 where there are none to count.
func (p *parsed) lines() int32 {
	if p.Status == ingest.StatusSkipped {
		return -1
	}
	return int32(p.Lines)
}
