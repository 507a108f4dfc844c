package lang

var _ = register(Language{
	Name:       "Kotlin",
	Aliases:    []string{"kt"},
	Extensions: []string{".kt", ".kts"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:(?:public|internal|protected|private|open|abstract|final|sealed|data|inner|value|inline|annotation|companion|expect|actual|enum|fun)[ \t]+)*(?P<kind>class|interface|object)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyMaybe},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:public|internal|protected|private|open|abstract|final|override|suspend|inline|operator|infix|tailrec|external|expect|actual)[ \t]+)*fun[ \t]+(?:<[^>\n]*>[ \t]*)?(?:[\w.<>?]+\.)?(?P<name>\w+)[ \t]*\(`, Body: BodyMaybe},
			{Kind: KindType, Pattern: `^[ \t]*(?:\w+[ \t]+)*typealias[ \t]+(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindConstant, Pattern: `^[ \t]*(?:\w+[ \t]+)*const[ \t]+val[ \t]+(?P<name>\w+)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^import[ \t]+(?P<name>\w+(?:\.\w+)*(?:\.\*)?)(?:[ \t]+as[ \t]+(?P<alias>\w+))?`, Seeks: seekName("jvm")}},
		Module:  `^package[ \t]+(?P<name>[\w.]+)`,
		Provide: provideMember("jvm", "."),
		Hidden:  `^[^({]*\bprivate\b`,
	},
})
