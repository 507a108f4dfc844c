package lang

var _ = register(Language{
	Name:       "C#",
	Aliases:    []string{"csharp", "cs"},
	Extensions: []string{".cs", ".csx"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, {Open: `@"`, Close: `"`, Multiline: true}, doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindModule, Pattern: `^[ \t]*namespace[ \t]+(?P<name>[\w.]+)\s*\{`, Body: BodyBraces},
			{Pattern: `^[ \t]*(?:(?:public|internal|protected|private|static|sealed|abstract|partial|readonly|ref|unsafe|file|new)[ \t]+)*(?P<kind>class|interface|struct|enum|record)[ \t]+(?:(?:class|struct)[ \t]+)?(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyMaybe},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:public|internal|protected|private|static|sealed|abstract|virtual|override|async|extern|partial|unsafe|new|readonly)[ \t]+)+(?:[\w.<>\[\],?]+[ \t]+)*(?P<name>\w+)[ \t]*(?:<[^>\n(]*>)?\(`, Body: BodyMaybe, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:global[ \t]+)?using[ \t]+(?:static[ \t]+)?(?:(?P<alias>\w+)[ \t]*=[ \t]*)?(?P<name>[\w.]+)[ \t]*;`, Seeks: seekName("cs")}},
		Module:  `^[ \t]*namespace[ \t]+(?P<name>[\w.]+)`,
		Provide: provideModule("cs"),
		Hidden:  `^[^({]*\bprivate\b|^(?:class|struct|interface|enum|record)\b`,
	},
})
