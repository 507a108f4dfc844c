package lang

import (
	"strings"
)

// FoldSignature makes one line of a declaration: runs of white space become one
// space, blanks inside the ends of brackets go, and what exceeds MaxSignature
// bytes is cut.
func FoldSignature(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if strings.Contains(s, "( ") || strings.Contains(s, " )") {
		s = strings.NewReplacer("( ", "(", ", )", ")", " )", ")").Replace(s)
	}
	return Clip(s, MaxSignature)
}

// CleanDoc takes the markers off a documentation comment and trims it: line
// markers (//, ///, //!, #, --, ;, %), block ends (/* */, /** */), leading stars, and the
// indentation that all lines share.
func CleanDoc(comment string) string {
	lines := strings.Split(strings.ReplaceAll(comment, "\r\n", "\n"), "\n")
	first := strings.TrimSpace(lines[0])
	block := strings.HasPrefix(first, "/*")
	for i, line := range lines {
		if block {
			lines[i] = cleanBlockLine(line)
			continue
		}
		trimmed := strings.TrimLeft(line, " \t")
		for _, marker := range []string{"///", "//!", "//", "--", "#", ";;;", ";;", ";", "%%", "%"} {
			if rest, ok := strings.CutPrefix(trimmed, marker); ok {
				trimmed = rest
				break
			}
		}
		lines[i] = strings.TrimRight(trimmed, " \t")
	}
	return Dedent(strings.Join(lines, "\n"))
}

func cleanBlockLine(line string) string {
	line = strings.TrimRight(line, " \t")
	trimmed := strings.TrimLeft(line, " \t")
	if rest, ok := strings.CutPrefix(trimmed, "/*"); ok {
		line = strings.TrimLeft(rest, "*!")
	} else if rest, ok := strings.CutPrefix(trimmed, "*"); ok && trimmed != "*/" {
		line = rest
	}
	if rest, ok := strings.CutSuffix(line, "*/"); ok {
		line = strings.TrimRight(rest, "* \t")
	}
	return line
}

// Dedent removes the indentation that all lines after the first share, the
// indentation of the first, and blank lines at both ends.
func Dedent(s string) string {
	lines := strings.Split(s, "\n")
	shared := -1
	for i, line := range lines {
		body := strings.TrimLeft(line, " \t")
		if i == 0 || body == "" {
			continue
		}
		if indent := len(line) - len(body); shared < 0 || indent < shared {
			shared = indent
		}
	}
	for i, line := range lines {
		switch {
		case i == 0:
			lines[i] = strings.TrimSpace(line)
		case strings.TrimSpace(line) == "":
			lines[i] = ""
		default:
			lines[i] = strings.TrimRight(line[shared:], " \t")
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
