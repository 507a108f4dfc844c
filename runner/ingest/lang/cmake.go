package lang

var _ = register(Language{
	Name:       "CMake",
	Extensions: []string{".cmake"},
	Filenames:  []string{"CMakeLists.txt"},
	Scan: &Scan{
		LineComments:  hashComments,
		BlockComments: [][2]string{{"#[[", "]]"}},
		Quotes:        []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?i:function)[ \t]*\([ \t]*(?P<name>\w+)`, Body: BodyIndent},
			{Kind: KindMacro, Pattern: `^[ \t]*(?i:macro)[ \t]*\([ \t]*(?P<name>\w+)`, Body: BodyIndent},
			{Kind: KindModule, Pattern: `^[ \t]*(?i:add_executable|add_library|add_custom_target)[ \t]*\([ \t]*(?P<name>[\w.-]+)`, Body: BodyLine},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*(?i:include)[ \t]*\([ \t]*(?P<name>[\w./-]+)`, Seeks: seekPaths([]string{"", "cmake"}, "", ".cmake")},
			{Pattern: `^[ \t]*(?i:add_subdirectory)[ \t]*\([ \t]*(?P<name>[\w./-]+)`, Seeks: seekPaths(nil, "/CMakeLists.txt")},
		},
	},
})
