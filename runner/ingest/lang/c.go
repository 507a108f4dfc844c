package lang

var _ = register(Language{
	Name:       "C",
	Extensions: []string{".c", ".h"},
	Scan:       cScan(false),
})

// cScan serves C and C++. A function is a name with parameters and a braced body
// that begins in the first column; in C++ it may stand deeper, in a namespace or a class.
func cScan(plus bool) *Scan {
	indent, name := ``, `\w+`
	if plus {
		indent, name = `[ \t]*`, `(?:\w+(?:<[\w, ]*>)?::)*~?\w+`
	}
	return &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindMacro, Pattern: `^[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindFunction, Pattern: `^` + indent + `(?:[A-Za-z_][\w:<>,]*[ \t*&]+)*(?P<name>` + name + `)[ \t]*\(`, Body: BodyBraces, Loose: true},
			{Pattern: `^[ \t]*(?:typedef[ \t]+|template[ \t]*<[^>{;]*>\s*)?(?P<kind>struct|union|class|enum)(?:[ \t]+class)?[ \t]+(?P<name>\w+)(?:[ \t]+final)?(?:\s*:[^;{(=]*)?\s*\{`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindModule, Pattern: `^[ \t]*(?:inline[ \t]+)?namespace[ \t]+(?P<name>[\w:]+)\s*\{`, Body: BodyBraces},
			{Kind: KindType, Pattern: `^typedef\b[^;{}()]*\b(?P<name>\w+)[ \t]*;`, Body: BodyLine},
			{Kind: KindType, Pattern: `^\}[ \t]*(?P<name>\w+)[ \t]*;`, Body: BodyLine}, // typedef struct { ... } name;
			{Kind: KindType, Pattern: `^[ \t]*using[ \t]+(?P<name>\w+)[ \t]*=`, Body: BodyStatement},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*#[ \t]*(?:include|import)[ \t]*[<"](?P<name>[^>"\n]+)[>"]`, Seeks: seekPaths([]string{"", "include", "src"})}},
		Owners:  "::",
		Hidden:  `^static\b`,
	}
}
