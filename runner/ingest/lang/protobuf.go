package lang

var _ = register(Language{
	Name:       "Protocol Buffer",
	Aliases:    []string{"protobuf", "proto", "protocol buffers"},
	Extensions: []string{".proto"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?P<kind>message|enum|service)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*rpc[ \t]+(?P<name>\w+)`, Body: BodyMaybe},
			{Kind: KindField, Pattern: `^[ \t]*(?:(?:repeated|optional|required)[ \t]+)?(?:map[ \t]*<[^>\n]*>|[\w.]+)[ \t]+(?P<name>\w+)[ \t]*=[ \t]*\d+`, Body: BodyStatement},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*import[ \t]+(?:public[ \t]+|weak[ \t]+)?["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{"", "proto"})}},
		Module:  `^[ \t]*package[ \t]+(?P<name>[\w.]+)`,
	},
})
