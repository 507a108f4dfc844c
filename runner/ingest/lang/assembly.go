package lang

var (
	_ = register(Language{
		Name:       "Assembly",
		Aliases:    []string{"asm", "nasm"},
		Extensions: []string{".asm", ".nasm"},
		Scan:       assemblyScan([]string{";"}),
	})
	_ = register(Language{
		Name:       "Unix Assembly",
		Aliases:    []string{"gas"},
		Extensions: []string{".s"},
		Scan:       assemblyScan([]string{"//"}),
	})
)

// assemblyScan finds labels at the left margin, but not those that are local by
// their names, and the functions of Go's assembler.
func assemblyScan(lineComments []string) *Scan {
	return &Scan{
		LineComments:  lineComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^TEXT[ \t]+(?:[\w./∕%-]*·)?(?P<name>\w+)(?:<\w*>)?\(SB\)`, Body: BodyLine},
			{Kind: KindFunction, Pattern: `^(?P<name>[A-Za-z_]\w{2,}):`, Body: BodyLine, Loose: true},
			{Kind: KindMacro, Pattern: `^[ \t]*(?:\.macro|%macro|#[ \t]*define)[ \t]+(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindVariable, Pattern: `^(?:GLOBL|DATA)[ \t]+(?:[\w./∕%-]*·)?(?P<name>\w+)(?:<\w*>)?(?:\+0x0+)?(?:\+0)?\(SB\)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:#[ \t]*include|\.include|%include)[ \t]*["<](?P<name>[^">\n]+)[">]`, Seeks: seekPaths([]string{"", "include"})}},
	}
}
