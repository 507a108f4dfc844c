package lang

var _ = register(Language{
	Name:         "Shell",
	Aliases:      []string{"sh", "bash", "zsh", "shell-script"},
	Extensions:   []string{".sh", ".bash", ".zsh", ".ksh", ".bats", ".ebuild"},
	Filenames:    []string{".bashrc", ".bash_profile", ".bash_aliases", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile", ".envrc", "PKGBUILD", "gradlew"},
	Interpreters: []string{"sh", "bash", "zsh", "dash", "ksh", "ash", "rc", "bats"},
	Scan: &Scan{
		LineComments: hashComments,
		Quotes:       []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}, {Open: `'`, Close: `'`, Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^[ \t]*(?:function[ \t]+)?(?P<name>[A-Za-z_][\w:.-]*)[ \t]*\(\)\s*[{(]`, Body: BodyMaybe},
			{Kind: KindFunction, Pattern: `^[ \t]*function[ \t]+(?P<name>[A-Za-z_][\w:.-]*)\s*\{`, Body: BodyBraces},
			{Kind: KindVariable, Pattern: `^(?:export[ \t]+|readonly[ \t]+|declare[ \t]+(?:-\w+[ \t]+)*)?(?P<name>[A-Za-z_]\w*)=`, Body: BodyLine, Loose: true},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*(?:source|\.)[ \t]+["']?(?:\$\([^)\n]*\)/|\$\{?\w+(?:[^}/\n]*\})?/)?(?P<name>[^\s"';&|$]+)`, Raw: true, Seeks: seekPaths([]string{""})}},
	},
})
