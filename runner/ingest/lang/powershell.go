package lang

var _ = register(Language{
	Name:         "PowerShell",
	Aliases:      []string{"ps1", "pwsh"},
	Extensions:   []string{".ps1", ".psm1", ".psd1"},
	Interpreters: []string{"pwsh", "powershell"},
	Scan: &Scan{
		LineComments:  hashComments,
		BlockComments: [][2]string{{"<#", "#>"}},
		Quotes:        []Quote{{Open: `"`, Close: `"`, Escape: '`', Multiline: true}, {Open: `'`, Close: `'`, Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?i:function|filter)[ \t]+(?:(?i:global|script):)?(?P<name>[\w-]+)`, Body: BodyBraces},
			{Pattern: `^[ \t]*(?P<kind>(?i:class|enum))[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyBraces},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*\.[ \t]+["']?(?:\$PSScriptRoot[\\/])?(?P<name>[\w./\\-]+\.ps1)`, Raw: true, Seeks: seekDotted(`\`, nil)}},
	},
})
