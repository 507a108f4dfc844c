package lang

var _ = register(Language{
	Name:       "GraphQL",
	Extensions: []string{".graphql", ".gql", ".graphqls"},
	Scan: &Scan{
		LineComments: hashComments,
		Quotes:       []Quote{tripleQuoted, doubleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:extend[ \t]+)?(?P<kind>type|interface|enum|union|input|scalar)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyMaybe},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:query|mutation|subscription|fragment)[ \t]+(?P<name>\w+)`, Body: BodyBraces},
		},
	},
})
