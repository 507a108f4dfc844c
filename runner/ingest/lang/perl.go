package lang

var _ = register(Language{
	Name:         "Perl",
	Extensions:   []string{".pl", ".pm", ".perl", ".t"},
	Interpreters: []string{"perl"},
	Scan: &Scan{
		LineComments:  hashComments,
		BlockComments: [][2]string{{"\n=pod", "\n=cut"}, {"\n=head", "\n=cut"}, {"\n=over", "\n=cut"}, {"\n=item", "\n=cut"}, {"\n=begin", "\n=cut"}},
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*sub[ \t]+(?P<name>[A-Za-z_][\w:]*)`, Body: BodyBraces},
			{Kind: KindModule, Pattern: `^[ \t]*package[ \t]+(?P<name>[\w:]+)`, Body: BodyLine},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*(?:use|require)[ \t]+(?P<name>[A-Z]\w*(?:::\w+)*)`, Seeks: seekDotted("::", []string{"lib", ""}, ".pm")},
			{Pattern: `^[ \t]*(?:require|do)[ \t]+["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{"lib", ""})},
		},
		Owners: "::",
		Module: `^[ \t]*package[ \t]+(?P<name>[\w:]+)`,
	},
})
