package lang

var _ = register(Language{
	Name:       "HCL",
	Aliases:    []string{"terraform", "tf"},
	Extensions: []string{".tf", ".hcl", ".tfvars", ".nomad"},
	Scan: &Scan{
		LineComments:  []string{"#", "//"},
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted},
		Raw:           true,
		Rules: []Rule{
			{Kind: KindClass, Pattern: `^(?:resource|data)[ \t]+"(?P<owner>[\w-]+)"[ \t]+"(?P<name>[\w-]+)"`, Body: BodyBraces},
			{Kind: KindVariable, Pattern: `^(?:variable|output)[ \t]+"(?P<name>[\w-]+)"`, Body: BodyBraces},
			{Kind: KindModule, Pattern: `^(?:module|provider)[ \t]+"(?P<name>[\w-]+)"`, Body: BodyBraces},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*source[ \t]*=[ \t]*"(?P<name>\.{1,2}/[^"\n]+)"`, Seeks: seekPaths(nil, "/main.tf")}},
	},
})
