package lang

import (
	"path"
	"strings"
)

var (
	_ = register(Language{Name: "CSS", Extensions: []string{".css"}, Scan: cssScan(nil)})
	_ = register(Language{Name: "SCSS", Extensions: []string{".scss"}, Scan: cssScan(slashComments)})
	_ = register(Language{Name: "Less", Extensions: []string{".less"}, Scan: cssScan(slashComments)})
)

// cssScan serves the style sheet languages: what they define are mixins,
// functions, variables and custom properties, what they depend on other sheets.
func cssScan(lineComments []string) *Scan {
	return &Scan{
		LineComments:  lineComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindMacro, Pattern: `^[ \t]*@mixin[ \t]+(?P<name>[\w-]+)`, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*@function[ \t]+(?P<name>[\w-]+)`, Body: BodyBraces},
			{Kind: KindMacro, Pattern: `^[ \t]*@keyframes[ \t]+(?P<name>[\w-]+)`, Body: BodyBraces},
			{Kind: KindVariable, Pattern: `^[ \t]*(?P<name>(?:--|\$)[\w-]+)[ \t]*:`, Body: BodyStatement},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*@(?:import|use|forward)[ \t]+(?:url\()?(?:\([^)\n]*\)[ \t]*)?["']?(?P<name>[^"')\s;]+)`, Raw: true, Seeks: seekSheet}},
	}
}

// seekSheet knows that endings may be left out and partials begin with a line.
func seekSheet(src Source, module string) []string {
	if strings.Contains(module, ":") {
		return nil
	}
	ext := path.Ext(src.Path)
	partial := path.Join(path.Dir(module), "_"+path.Base(module))
	return append(seekPaths(nil, "", ext)(src, module), seekPaths(nil, ext, "")(src, partial)...)
}
