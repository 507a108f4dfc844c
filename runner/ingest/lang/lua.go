package lang

var _ = register(Language{
	Name:         "Lua",
	Extensions:   []string{".lua", ".rockspec"},
	Interpreters: []string{"lua", "luajit"},
	Scan: &Scan{
		LineComments:  []string{"--"},
		BlockComments: [][2]string{{"--[[", "]]"}, {"--[=[", "]=]"}},
		Quotes:        []Quote{{Open: "[[", Close: "]]", Multiline: true}, doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?:local[ \t]+)?function[ \t]+(?P<name>[A-Za-z_][\w.:]*)`, Body: BodyIndent},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:local[ \t]+)?(?P<name>[A-Za-z_][\w.]*)[ \t]*=[ \t]*function\b`, Body: BodyIndent},
		},
		Imports: []ImportRule{{Pattern: `\brequire[ \t(]+["'](?P<name>[^"'\n]+)["']`, Seeks: seekDotted(".", []string{"", "lua", "src"}, ".lua", "/init.lua")}},
		Owners:  ".:",
		Hidden:  `^local\b`,
	},
})
