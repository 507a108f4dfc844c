package lang

var _ = register(Language{
	Name:       "HTML",
	Extensions: []string{".html", ".htm", ".xhtml"},
	Scan: &Scan{
		BlockComments: [][2]string{{"<!--", "-->"}},
		Imports: []ImportRule{
			{Pattern: `<(?i:script|img|iframe|source)\b[^>]*?\bsrc=["'](?P<name>[^"'\n#?:]+)["'#?]`, Seeks: seekPaths([]string{""})},
			{Pattern: `<(?i:link|a)\b[^>]*?\bhref=["'](?P<name>[^"'\n#?:]+)["'#?]`, Seeks: seekPaths([]string{""})},
		},
	},
})
