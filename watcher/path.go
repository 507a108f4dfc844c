package watcher

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// EscapePath makes a name from the file system fit for a text column: slashes
// separate, and backslashes, control bytes (below 0x20, and 0x7f) and bytes that
// are not UTF-8 are written \xNN with two lower-case hexadecimal digits. Other
// names come back unchanged, and UnescapePath restores every name exactly.
func EscapePath(name string) string {
	name = filepath.ToSlash(name)
	clean := true
	for i := 0; i < len(name) && clean; i++ {
		clean = name[i] >= 0x20 && name[i] < 0x7f && name[i] != '\\'
	}
	if clean {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 || r < 0x20 || r == 0x7f || r == '\\' {
			fmt.Fprintf(&b, `\x%02x`, name[i])
			i++
			continue
		}
		b.WriteString(name[i : i+n])
		i += n
	}
	return b.String()
}

// UnescapePath is the inverse of EscapePath. It fails on a backslash that does
// not begin \xNN.
func UnescapePath(path string) (string, error) {
	if strings.IndexByte(path, '\\') < 0 {
		return filepath.FromSlash(path), nil
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '\\' {
			b.WriteByte(path[i])
			continue
		}
		if i+3 >= len(path) || path[i+1] != 'x' || unhex(path[i+2]) < 0 || unhex(path[i+3]) < 0 {
			return "", fmt.Errorf(`unescape path %q: the backslash at byte %d does not begin \xNN`, path, i)
		}
		b.WriteByte(byte(unhex(path[i+2])<<4 | unhex(path[i+3])))
		i += 3
	}
	return filepath.FromSlash(b.String()), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
