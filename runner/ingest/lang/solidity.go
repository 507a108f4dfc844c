package lang

var _ = register(Language{
	Name:       "Solidity",
	Extensions: []string{".sol"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:abstract[ \t]+)?(?P<kind>contract|interface|library|struct|enum)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:function|modifier)[ \t]+(?P<name>\w+)`, Body: BodyMaybe},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*import[ \t]+(?:[^"';\n]*[ \t]from[ \t]+)?["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{"", "contracts"})}},
		Hidden:  `\b(?:private|internal)\b`,
	},
})
