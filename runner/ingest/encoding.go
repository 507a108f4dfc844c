package ingest

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/saintfish/chardet"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// toUTF8 returns the content as UTF-8 without NUL and the name of the encoding it
// was in. A nil text means that the content is no text; damage says why, or what
// had to be replaced to make text of it.
func toUTF8(content []byte, truncated bool) (text []byte, name, damage string) {
	if wide := wideEncoding(content); wide != nil {
		decoded, err := wide.NewDecoder().Bytes(content)
		if err != nil {
			return nil, "", fmt.Sprintf(": no valid %s", wide.name)
		}
		decoded, damage = withoutNUL(decoded)
		return decoded, wide.name, damage
	}
	if isBinary(content) {
		return nil, "", ": a NUL byte in the first 8 kB"
	}
	if truncated {
		content = cutRune(content)
	}
	if utf8.Valid(content) {
		if n := controls(content); n*10 > len(content)*3 {
			return nil, "", fmt.Sprintf(": %d of %d bytes are control characters", n, len(content))
		}
		name = "UTF-8"
		if bytes.HasPrefix(content, []byte("\xEF\xBB\xBF")) {
			name = "UTF-8 with BOM"
		}
		content, damage = withoutNUL(content)
		return content, name, damage
	}
	if n := controls(content); n*50 > len(content) {
		return nil, "", fmt.Sprintf(": %d of %d bytes are control characters", n, len(content))
	}
	if declared := declaredEncoding(content); declared != nil {
		if decoded, ok := decode(declared, content); ok {
			decoded, damage = withoutNUL(decoded)
			return decoded, declared.name, damage
		}
	}
	valid, invalid := sequences(content)
	if valid > 3*invalid { // UTF-8 with a few damaged places
		text, damage = withoutNUL(bytes.ToValidUTF8(content, []byte("\uFFFD")))
		if damage == "" {
			damage = fmt.Sprintf("%d places are no valid UTF-8 and were replaced", invalid)
		}
		return text, "UTF-8", damage
	}
	guess := guessedEncoding(content)
	decoded, ok := decode(guess, content)
	if high := highBytes(content); guess.name == "windows-1252" && high*3 > len(content)*2 {
		return nil, "", fmt.Sprintf(": %d of %d bytes are no valid UTF-8", high, len(content))
	}
	if !ok {
		guess = &namedEncoding{"windows-1252", charmap.Windows1252}
		decoded, _ = guess.NewDecoder().Bytes(content) // every byte means something there
	}
	decoded, damage = withoutNUL(decoded)
	return decoded, guess.name, damage
}

// withoutNUL replaces what PostgreSQL cannot store in text.
func withoutNUL(text []byte) (clean []byte, damage string) {
	n := bytes.Count(text, []byte{0})
	if n == 0 {
		return text, ""
	}
	return bytes.ReplaceAll(text, []byte{0}, []byte("\uFFFD")), fmt.Sprintf("%d NUL characters were replaced", n)
}

type namedEncoding struct {
	name string
	encoding.Encoding
}

// decode converts content; false where it is not wholly of that encoding.
func decode(e *namedEncoding, content []byte) ([]byte, bool) {
	decoded, err := e.NewDecoder().Bytes(content)
	if err != nil || bytes.Contains(decoded, []byte("\uFFFD")) {
		return nil, false
	}
	return decoded, true
}

// wideEncoding recognises UTF-16 and UTF-32 by their marks, and UTF-16 without a
// mark by the zero halves of its ASCII characters.
func wideEncoding(content []byte) *namedEncoding {
	for _, mark := range []struct {
		bytes string
		e     namedEncoding
	}{
		{"\xFF\xFE\x00\x00", namedEncoding{"UTF-32LE", utf32.UTF32(utf32.LittleEndian, utf32.ExpectBOM)}},
		{"\x00\x00\xFE\xFF", namedEncoding{"UTF-32BE", utf32.UTF32(utf32.BigEndian, utf32.ExpectBOM)}},
		{"\xFF\xFE", namedEncoding{"UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)}},
		{"\xFE\xFF", namedEncoding{"UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM)}},
	} {
		if bytes.HasPrefix(content, []byte(mark.bytes)) {
			if mark.bytes[0] == '\xFF' && len(mark.bytes) == 2 || mark.bytes[0] == '\xFE' {
				// Binary files begin with these bytes too; text has few controls.
				if !plausibleUTF16(content[2:], mark.bytes[0] == '\xFF') {
					return nil
				}
			}
			return &mark.e
		}
	}
	head := content[:min(len(content), binaryHead)&^1]
	if len(head) < 8 {
		return nil
	}
	even, odd := 0, 0
	for i := 0; i < len(head); i += 2 {
		if head[i] == 0 {
			even++
		}
		if head[i+1] == 0 {
			odd++
		}
	}
	pairs := len(head) / 2
	switch {
	case odd*10 > pairs*7 && even == 0 && plausibleUTF16(head, true):
		return &namedEncoding{"UTF-16LE", unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}
	case even*10 > pairs*7 && odd == 0 && plausibleUTF16(head, false):
		return &namedEncoding{"UTF-16BE", unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}
	}
	return nil
}

// plausibleUTF16 says whether hardly any code unit is a control character.
func plausibleUTF16(content []byte, littleEndian bool) bool {
	content = content[:min(len(content), binaryHead)&^1]
	bad := 0
	for i := 0; i < len(content); i += 2 {
		low, high := content[i], content[i+1]
		if !littleEndian {
			low, high = high, low
		}
		if high == 0 && controls([]byte{low}) > 0 || high == 0xFF && low >= 0xFE {
			bad++
		}
	}
	return bad*50 <= len(content)/2
}

// sequences counts the multi-byte characters of a UTF-8 text and the places
// where it is broken.
func sequences(content []byte) (valid, invalid int) {
	for i := 0; i < len(content); {
		if content[i] < utf8.RuneSelf {
			i++
			continue
		}
		_, n := utf8.DecodeRune(content[i:])
		if n == 1 {
			invalid++
		} else {
			valid++
		}
		i += n
	}
	return valid, invalid
}

func highBytes(content []byte) (n int) {
	for _, c := range content {
		if c >= utf8.RuneSelf {
			n++
		}
	}
	return n
}

var (
	cookie  = regexp.MustCompile(`(?:coding|charset|encoding)[ \t]*[:=][ \t]*["']?([A-Za-z0-9][\w.-]*)`)
	notMark = regexp.MustCompile(`(?i)^utf-?(8|16|32)`)
)

// declaredEncoding reads what a text says of itself in its first lines: an XML
// declaration, an HTML meta element, a Python or Emacs coding line, Vim's
// fileencoding, a CSS @charset.
func declaredEncoding(content []byte) *namedEncoding {
	for _, m := range cookie.FindAllSubmatch(content[:min(len(content), 1024)], 3) {
		e, name := charset.Lookup(string(m[1]))
		if e != nil && !notMark.MatchString(name) && name != "replacement" {
			return &namedEncoding{name, e}
		}
	}
	return nil
}

// guessedEncoding asks a statistical detector about the lines that are not
// ASCII. Where nothing is certain, the single-byte encoding of Western Europe is
// the answer, in which every byte means something.
func guessedEncoding(content []byte) *namedEncoding {
	western := &namedEncoding{"windows-1252", charmap.Windows1252}
	var sample []byte
	for line := range bytes.Lines(content) {
		if highBytes(line) > 0 {
			sample = append(sample, line...)
		}
		if len(sample) > maxDetect {
			break
		}
	}
	guess, err := chardet.NewTextDetector().DetectBest(sample)
	if err != nil || guess.Confidence < 20 {
		return western
	}
	charsetName := guess.Charset
	if charsetName == "GB-18030" {
		charsetName = "gb18030"
	}
	e, name := charset.Lookup(charsetName)
	if e == nil || notMark.MatchString(name) {
		return western
	}
	return &namedEncoding{name, e}
}
