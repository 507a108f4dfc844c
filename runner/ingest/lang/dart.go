package lang

import "strings"

var _ = register(Language{
	Name:         "Dart",
	Extensions:   []string{".dart"},
	Interpreters: []string{"dart"},
	Scan: &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{tripleQuoted, {Open: "'''", Close: "'''", Multiline: true}, doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:(?:abstract|sealed|base|final|interface|mixin)[ \t]+)*(?P<kind>class|mixin|enum|extension)[ \t]+(?P<name>[A-Za-z_]\w*)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindType, Pattern: `^typedef[ \t]+(?P<name>\w+)`, Body: BodyStatement},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:static|external|late|final)[ \t]+)*[A-Za-z_][\w<>,?.]*[ \t]+(?P<name>[A-Za-z_]\w*)[ \t]*\(`, Body: BodyBraces, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:import|export|part)[ \t]+["'](?P<name>[^"'\n]+)["']`, Seeks: func(src Source, module string) []string {
			if strings.HasPrefix(module, "dart:") {
				return nil
			}
			if pkg, ok := strings.CutPrefix(module, "package:"); ok {
				_, file, _ := strings.Cut(pkg, "/")
				return []string{PathProvided("lib/" + file)}
			}
			return seekPaths(nil)(src, module)
		}}},
	},
})
