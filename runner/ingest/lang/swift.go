package lang

var _ = register(Language{
	Name:       "Swift",
	Extensions: []string{".swift"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, doubleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:@\w+[ \t]+)*(?:(?:public|open|internal|fileprivate|private|final|indirect)[ \t]+)*(?P<kind>class|struct|enum|protocol|extension|actor)[ \t]+(?P<name>[A-Z]\w*)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:@\w+[ \t]+)*(?:(?:public|open|internal|fileprivate|private|final|static|class|override|mutating|nonmutating|async|required|convenience)[ \t]+)*func[ \t]+(?P<name>\w+)`, Body: BodyMaybe},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:public|open|internal|fileprivate|private|required|convenience|override)[ \t]+)*(?P<name>init)[?!]?[ \t]*[(<]`, Body: BodyBraces, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:@\w+[ \t]+)?import[ \t]+(?:(?:class|struct|enum|protocol|func|var|let)[ \t]+)?(?P<name>[\w.]+)`}},
		Hidden:  `^[^({]*\b(?:private|fileprivate)\b`,
	},
})
