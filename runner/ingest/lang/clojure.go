package lang

var _ = register(Language{
	Name:         "Clojure",
	Aliases:      []string{"clj"},
	Extensions:   []string{".clj", ".cljs", ".cljc", ".edn", ".bb"},
	Interpreters: []string{"bb", "clojure"},
	Scan: &Scan{
		LineComments: []string{";"},
		Quotes:       []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Kind: KindFunction, Pattern: `^\(defn-?[ \t]+(?:\^\S+[ \t]+)*(?P<name>[^\s()\[\]{}]+)`, Body: BodyIndent},
			{Kind: KindMacro, Pattern: `^\(defmacro[ \t]+(?P<name>[^\s()\[\]{}]+)`, Body: BodyIndent},
			{Kind: KindVariable, Pattern: `^\(def(?:once|multi)?[ \t]+(?:\^\S+[ \t]+)*(?P<name>[^\s()\[\]{}]+)`, Body: BodyIndent},
			{Kind: KindClass, Pattern: `^\(def(?:record|type)[ \t]+(?P<name>[^\s()\[\]{}]+)`, Body: BodyIndent},
			{Kind: KindInterface, Pattern: `^\(defprotocol[ \t]+(?P<name>[^\s()\[\]{}]+)`, Body: BodyIndent},
		},
		Imports: []ImportRule{{Pattern: `\[(?P<name>[a-z][\w.-]*\.[\w.-]+)[ \t]+:(?:as|refer)\b`, Seeks: seekName("clj")}},
		Module:  `^\(ns[ \t\n]+(?:\^\S+[ \t]+)*(?P<name>[\w.-]+)`,
		Provide: provideModule("clj"),
		Hidden:  `^\(defn-`,
	},
})
