package lang

import "strings"

var _ = register(Language{
	Name:       "Nix",
	Extensions: []string{".nix"},
	Scan: &Scan{
		LineComments:  hashComments,
		BlockComments: starComments,
		Quotes:        []Quote{{Open: "''", Close: "''", Multiline: true}, {Open: `"`, Close: `"`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Kind: KindVariable, Pattern: `^ {0,4}(?P<name>[A-Za-z_][\w'.-]*)[ \t]*=[^=]`, Body: BodyStatement},
		},
		Imports: []ImportRule{{Pattern: `(?:\b(?:import|callPackage)[ \t]+|^[ \t]+)(?P<name>\.{1,2}/[\w./+-]+)`, Seeks: func(src Source, module string) []string {
			if strings.HasSuffix(module, ".nix") {
				return seekPaths(nil)(src, module)
			}
			return seekPaths(nil, "/default.nix", "")(src, module)
		}}},
	},
})
