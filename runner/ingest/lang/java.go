package lang

var _ = register(Language{
	Name:       "Java",
	Extensions: []string{".java"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:(?:public|protected|private|static|final|abstract|sealed|non-sealed|strictfp)[ \t]+)*(?P<kind>class|interface|enum|record|@interface)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:public|protected|private|static|final|abstract|synchronized|native|default)[ \t]+)*(?:<[^>\n]*>[ \t]+)?(?:[\w.<>\[\],?]+[ \t]+)*(?P<name>\w+)[ \t]*\(`, Body: BodyBraces, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `^import[ \t]+(?:static[ \t]+)?(?P<name>[\w.]+(?:\.\*)?)[ \t]*;`, Seeks: seekName("jvm")}},
		Module:  `^package[ \t]+(?P<name>[\w.]+)`,
		Provide: provideMember("jvm", "."),
		Hidden:  `^[^({]*\bprivate\b`,
	},
})
