package lang

var _ = register(Language{
	Name:         "Makefile",
	Aliases:      []string{"make", "bsdmake"},
	Extensions:   []string{".mk", ".mak", ".make"},
	Filenames:    []string{"Makefile", "makefile", "GNUmakefile", "BSDmakefile", "Makefile.am", "Makefile.in", "Kbuild"},
	Interpreters: []string{"make"},
	Scan: &Scan{
		LineComments: hashComments,
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^(?P<name>[A-Za-z0-9_/%$(){}-][A-Za-z0-9_./%$(){}-]*)[ \t]*::?(?:[^:=\n]|$)`, Body: BodyIndent},
			{Kind: KindVariable, Pattern: `^(?:export[ \t]+|override[ \t]+)*(?P<name>[A-Za-z_][\w.-]*)[ \t]*(?::{0,3}|\?|\+|!)=`, Body: BodyLine},
			{Kind: KindMacro, Pattern: `^define[ \t]+(?P<name>[\w.-]+)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*-?s?include[ \t]+(?P<name>[^\s$#]+)`, Seeks: seekPaths([]string{""})}},
	},
})
