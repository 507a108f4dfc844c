package lang

var _ = register(Language{
	Name:       "Scala",
	Extensions: []string{".scala", ".sc", ".sbt"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, doubleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:(?:private|protected|final|abstract|sealed|implicit|lazy|case|open|inline|override)(?:\[\w+\])?[ \t]+)*(?P<kind>class|trait|object|enum)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyAny},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:private|protected|final|implicit|inline|override|transparent)(?:\[\w+\])?[ \t]+)*def[ \t]+(?P<name>\w+)`, Body: BodyAny},
			{Kind: KindType, Pattern: `^[ \t]*(?:(?:private|protected|opaque)[ \t]+)*type[ \t]+(?P<name>\w+)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*import[ \t]+(?P<name>\w+(?:\.\w+)*)`, Seeks: seekName("jvm")}},
		Module:  `^package[ \t]+(?P<name>[\w.]+)`,
		Provide: provideMember("jvm", "."),
		Hidden:  `^[^({]*\bprivate\b`,
	},
})
