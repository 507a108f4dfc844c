package lang

var _ = register(Language{
	Name:         "Erlang",
	Extensions:   []string{".erl", ".hrl", ".escript"},
	Filenames:    []string{"rebar.config"},
	Interpreters: []string{"escript"},
	Scan: &Scan{
		LineComments: []string{"%"},
		Quotes:       []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^(?P<name>[a-z]\w*)\([^\n]*\)[^\n]*->`, Body: BodyIndent},
			{Kind: KindStruct, Pattern: `^-record\([ \t]*(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindMacro, Pattern: `^-define\([ \t]*(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindType, Pattern: `^-(?:type|opaque)[ \t(]+(?P<name>\w+)`, Body: BodyLine},
		},
		Imports: []ImportRule{
			{Pattern: `^-include(?:_lib)?\([ \t]*"(?P<name>[^"\n]+)"`, Seeks: seekPaths([]string{"include", "src", ""})},
			{Pattern: `^-(?:import|behaviou?r)\([ \t]*(?P<name>\w+)`, Seeks: seekName("erl")},
		},
		Module:  `^-module\([ \t]*(?P<name>\w+)`,
		Provide: provideModule("erl"),
	},
})
