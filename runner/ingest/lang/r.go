package lang

var _ = register(Language{
	Name:         "R",
	Extensions:   []string{".r"},
	Filenames:    []string{".Rprofile"},
	Interpreters: []string{"Rscript"},
	Scan: &Scan{
		LineComments: hashComments,
		Quotes:       []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}, {Open: `'`, Close: `'`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^(?P<name>[A-Za-z.][\w.]*)[ \t]*(?:<-|=)[ \t]*function[ \t]*\(`, Body: BodyAny},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*(?:library|require)\(["']?(?P<name>[\w.]+)`},
			{Pattern: `^[ \t]*source\(["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{""})},
		},
	},
})
