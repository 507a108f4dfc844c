package lang

var _ = register(Language{
	Name:         "Ruby",
	Aliases:      []string{"rb"},
	Extensions:   []string{".rb", ".rake", ".gemspec", ".ru", ".podspec"},
	Filenames:    []string{"Rakefile", "Gemfile", "Vagrantfile", "Guardfile", "Capfile", "Podfile", "Fastfile", "Brewfile"},
	Interpreters: []string{"ruby", "jruby", "macruby", "rake"},
	Scan: &Scan{
		LineComments:  hashComments,
		BlockComments: [][2]string{{"=begin\n", "\n=end"}},
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?P<kind>class|module)[ \t]+(?P<name>[A-Z][\w:]*)`, Kinds: typeKeywords, Body: BodyIndent},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:private[ \t]+|protected[ \t]+|public[ \t]+)?def[ \t]+(?:self\.)?(?P<name>[A-Za-z_]\w*[?!=]?)`, Body: BodyIndent},
			{Kind: KindConstant, Pattern: `^[ \t]*(?P<name>[A-Z][A-Z0-9_]+)[ \t]*=[^=~>]`, Body: BodyLine, Loose: true},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*require_relative[ \t(]+["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths(nil, ".rb", "")},
			{Pattern: `^[ \t]*(?:require|load)[ \t(]+["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{"lib", ""}, ".rb", "")},
		},
		Owners: "::",
		Hidden: `^private\b`,
	},
})
