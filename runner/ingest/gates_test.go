package ingest

import "testing"

// Other gates than the default ones are another version; the same gates the same.
func TestGatesHaveVersions(t *testing.T) {
	t.Parallel()
	seen := map[int32]Gates{}
	for _, g := range []Gates{
		{}, {KeepSecrets: true}, {Limits: Limits{ParseBytes: 1}}, {Limits: Limits{KeepBytes: 1}}, {Limits: Limits{ParseBytes: 1, KeepBytes: 1}},
		{Limits: Limits{ParseBytes: 1}, KeepSecrets: true},
	} {
		v := g.Version()
		if other, taken := seen[v]; taken {
			t.Errorf("%+v and %+v are both version %d", g, other, v)
		}
		seen[v] = g
		if v != g.Version() || v < 0 {
			t.Errorf("%+v is version %d, then %d", g, v, g.Version())
		}
	}
	defaults := Gates{Limits: Limits{ParseBytes: defaultParseBytes, KeepBytes: defaultKeepBytes}}
	if got := defaults.Version(); got != ExtractorVersion || (Gates{}).Version() != ExtractorVersion {
		t.Errorf("the defaults are version %d, not that of the extractor, %d", got, ExtractorVersion)
	}
}
