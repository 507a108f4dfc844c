package lang

var _ = register(Language{
	Name:       "Vim Script",
	Aliases:    []string{"vim", "viml"},
	Extensions: []string{".vim"},
	Filenames:  []string{".vimrc", "_vimrc", ".gvimrc"},
	Scan: &Scan{
		// A comment begins with a quote, as a string does.
		LineComments: []string{`"`},
		FirstOnly:    true,
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?:export[ \t]+)?(?:function|def)!?[ \t]+(?P<name>[\w:#.<>]+)[ \t]*\(`, Body: BodyIndent},
			{Kind: KindMacro, Pattern: `^[ \t]*command!?[ \t]+(?:-\S+[ \t]+)*(?P<name>[A-Z]\w*)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:source|runtime!?)[ \t]+(?P<name>[\w./-]+\.vim)`, Seeks: seekPaths([]string{""})}},
		Hidden:  `\bs:|<SID>`,
	},
})
