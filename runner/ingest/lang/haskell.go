package lang

var _ = register(Language{
	Name:         "Haskell",
	Aliases:      []string{"hs"},
	Extensions:   []string{".hs", ".hsc"},
	Interpreters: []string{"runghc", "runhaskell"},
	Scan: &Scan{
		LineComments:  []string{"--"},
		BlockComments: [][2]string{{"{-", "-}"}},
		Quotes:        []Quote{doubleQuoted},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^(?P<name>[a-z_][\w']*)[ \t]*::`, Body: BodyIndent},
			{Kind: KindType, Pattern: `^(?:data|newtype|type(?:[ \t]+family)?)[ \t]+(?P<name>[A-Z][\w']*)`, Body: BodyIndent},
			{Kind: KindInterface, Pattern: `^class[ \t]+(?:[^=\n]*=>[ \t]*)?(?P<name>[A-Z][\w']*)`, Body: BodyIndent},
		},
		Imports: []ImportRule{{Pattern: `^import[ \t]+(?:safe[ \t]+)?(?:qualified[ \t]+)?(?P<name>[A-Z][\w.]*)`, Seeks: seekName("hs")}},
		Module:  `^module[ \t]+(?P<name>[\w.]+)`,
		Provide: provideModule("hs"),
	},
})
