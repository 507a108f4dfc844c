package lang

var _ = register(Language{
	Name:       "Dockerfile",
	Aliases:    []string{"docker", "containerfile"},
	Extensions: []string{".dockerfile", ".containerfile"},
	Filenames:  []string{"Dockerfile", "Containerfile"},
	Scan: &Scan{
		LineComments: hashComments,
		Rules: []Rule{
			{Kind: KindModule, Pattern: `^(?i:FROM)[ \t]+\S+[ \t]+(?i:AS)[ \t]+(?P<name>[\w.-]+)`, Body: BodyLine},
			{Kind: KindVariable, Pattern: `^[ \t]*(?i:ARG|ENV)[ \t]+(?P<name>[A-Za-z_]\w*)`, Body: BodyLine},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*(?i:FROM)[ \t]+(?:--\S+[ \t]+)*(?P<name>\S+)`},
			{Pattern: `^[ \t]*(?i:COPY|ADD)[ \t]+(?P<name>[\w./-]+\.\w+)[ \t]`, Seeks: seekPaths([]string{""})},
		},
	},
})
