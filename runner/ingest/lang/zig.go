package lang

import "strings"

var _ = register(Language{
	Name:       "Zig",
	Extensions: []string{".zig", ".zon"},
	Scan: &Scan{
		LineComments: slashComments,
		Quotes:       []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:pub|export|extern|inline|noinline)[ \t]+)*fn[ \t]+(?P<name>\w+)`, Body: BodyMaybe},
			{Pattern: `^[ \t]*(?:pub[ \t]+)?const[ \t]+(?P<name>\w+)[ \t]*=[ \t]*(?:extern[ \t]+|packed[ \t]+)?(?P<kind>struct|enum|union)\b`, Kinds: typeKeywords, Body: BodyStatement},
			{Kind: KindConstant, Pattern: `^(?:pub[ \t]+)?const[ \t]+(?P<name>\w+)`, Body: BodyStatement, Loose: true},
			{Kind: KindVariable, Pattern: `^(?:pub[ \t]+)?(?:threadlocal[ \t]+)?var[ \t]+(?P<name>\w+)`, Body: BodyStatement, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `@import\("(?P<name>[^"\n]+)"\)`, Seeks: func(src Source, module string) []string {
			if !strings.HasSuffix(module, ".zig") {
				return nil // a package
			}
			return seekPaths(nil)(src, module)
		}}},
		Hidden: `^(?:inline[ \t]+|noinline[ \t]+|extern[ \t]+)*(?:fn|const|var)\b`,
	},
})
