package ingest

import (
	"regexp"
	"strings"
)

var reasonSorts = []struct {
	like *regexp.Regexp
	sort string
}{
	{regexp.MustCompile(`^(\d+ )?syntax errors?( in line \d+)?$|^line \d+$`), "syntax errors"},
	{regexp.MustCompile(`^[\d.]+ (bytes|[KMG]iB) is over (.*)$`), "over $2"},
	{regexp.MustCompile(`^only the first .* were read$`), "only the beginning was read"},
	{regexp.MustCompile(`^\d+ places are no valid UTF-8 and were replaced$`), "what is no valid UTF-8 was replaced"},
	{regexp.MustCompile(`^\d+ NUL characters were replaced$`), "NUL characters were replaced"},
}

// ReasonSort names what reasons of one sort have in common: of several the first, and
// of that no figures and places.
func ReasonSort(reason string) string {
	reason, _, _ = strings.Cut(reason, "; ")
	reason, _, _ = strings.Cut(reason, ":")
	for _, s := range reasonSorts {
		if s.like.MatchString(reason) {
			return s.like.ReplaceAllString(reason, s.sort)
		}
	}
	return reason
}
