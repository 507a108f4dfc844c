package ingest

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Statuses of a Verdict, as stored in code.files.status.
const (
	StatusIngested = "ingested" // everything that there is to be had
	StatusPartial  = "partial"  // stored, but Reason says what is missing
	StatusSkipped  = "skipped"  // known by its hash and size alone
)

// Limits bound what is done with large files. The zero value stands for the
// defaults.
type Limits struct {
	ParseBytes int64 // larger files are stored and searchable but not parsed; default 1 MiB
	KeepBytes  int64 // larger files are not stored at all; default 10 MiB
}

const (
	defaultParseBytes = 1 << 20
	defaultKeepBytes  = 10 << 20
)

func (l Limits) orDefaults() Limits {
	if l.ParseBytes <= 0 {
		l.ParseBytes = defaultParseBytes
	}
	if l.KeepBytes <= 0 {
		l.KeepBytes = defaultKeepBytes
	}
	return l
}

// Verdict says what a file is and what may be done with it.
type Verdict struct {
	Status string // StatusIngested, StatusPartial or StatusSkipped
	Reason string // why it is partial or skipped, in plain words; empty when ingested

	Text     []byte // the content as UTF-8 without NUL; nil when skipped. Shares memory with the content where that was UTF-8
	Encoding string // of the content: "UTF-8", "UTF-16LE", "windows-1252", ...; empty for binary content
	Lines    int    // line ends, plus one for a last line without

	Parse bool // whether Extract is worth its while; otherwise the text is only to be searched

	Empty     bool
	Binary    bool
	TooLarge  bool // over Limits.ParseBytes or Limits.KeepBytes
	Truncated bool // only a head of the content was given
	Generated bool // written by a program; so the file itself or its name says
	Minified  bool
	Vendored  bool // other people's code, kept in a folder for that
}

// Inspect decides what may be done with a file. The content may be a head of the
// file, whose size in bytes is given beside it. Bad content is no error: it is a
// verdict with a reason.
//
// Text that is valid UTF-8 without NUL comes back unchanged, byte for byte, a byte
// order mark included.
func Inspect(path string, content []byte, size int64, limits Limits) Verdict {
	limits = limits.orDefaults()
	size = max(size, int64(len(content)))
	v := Verdict{
		Status:    StatusIngested,
		Truncated: size > int64(len(content)),
		Empty:     size == 0,
		TooLarge:  size > min(limits.ParseBytes, limits.KeepBytes),
		Vendored:  Vendored(path),
	}
	if size > limits.KeepBytes {
		v.Binary = isBinary(content)
		return v.skip(fmt.Sprintf("%s is over the size limit of %s", bytesText(size), bytesText(limits.KeepBytes)))
	}
	if v.Empty {
		v.Text, v.Encoding, v.Parse = []byte{}, "UTF-8", true
		return v
	}
	text, encoding, damage := toUTF8(content, v.Truncated)
	if text == nil {
		v.Binary = true
		return v.skip("binary content" + damage)
	}
	v.Text, v.Encoding = text, encoding
	v.Lines = lineCount(text)
	lockFile := isLockFile(path)
	v.Generated = lockFile || generatedName(path) || generatedText(text)
	longest := longestLine(text)
	v.Minified = minifiedName(path) || minifiedText(path, text, longest, v.Lines)

	switch {
	case v.TooLarge:
		return v.partial(fmt.Sprintf("%s is over the limit of %s for parsing", bytesText(size), bytesText(limits.ParseBytes)))
	case v.Truncated:
		return v.partial(fmt.Sprintf("only the first %s of %s were read", bytesText(int64(len(content))), bytesText(size)))
	case v.Minified:
		return v.partial(fmt.Sprintf("minified: %d lines, the longest of %d bytes; not parsed", v.Lines, longest))
	case lockFile:
		return v.partial("lock file: written by a package manager; not parsed")
	case damage != "":
		v.Parse = true
		return v.partial(damage)
	}
	v.Parse = true
	return v
}

func (v Verdict) skip(reason string) Verdict {
	v.Status, v.Reason, v.Text, v.Parse = StatusSkipped, reason, nil, false
	return v
}

func (v Verdict) partial(reason string) Verdict {
	v.Status, v.Reason = StatusPartial, reason
	return v
}

// bytesText writes a size for people, in powers of 1024.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

func lineCount(text []byte) int {
	n := bytes.Count(text, []byte{'\n'})
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

func longestLine(text []byte) int {
	longest := 0
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n')
		if n < 0 {
			return max(longest, len(text))
		}
		longest = max(longest, n)
		text = text[n+1:]
	}
	return longest
}

// binaryHead is how much of a content is looked at for NUL bytes, as git does.
const binaryHead = 8000

// isBinary applies git's rule, unless the NULs are those of UTF-16 or UTF-32.
func isBinary(content []byte) bool {
	return bytes.IndexByte(content[:min(len(content), binaryHead)], 0) >= 0 && wideEncoding(content) == nil
}

// controls counts control characters that text does not use.
func controls(content []byte) int {
	n := 0
	for _, c := range content {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != '\b' && c != 0x1b || c == 0x7f {
			n++
		}
	}
	return n
}

// cutRune drops an incomplete character at the end of a truncated content.
func cutRune(content []byte) []byte {
	for back := 1; back <= min(utf8.UTFMax-1, len(content)); back++ {
		if c := content[len(content)-back]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(content[len(content)-back:]) {
				return content[:len(content)-back]
			}
			break
		}
	}
	return content
}
