package lang

import (
	"path"
	"strings"
)

var _ = register(Language{
	Name:         "PHP",
	Extensions:   []string{".php", ".php5", ".phtml", ".phpt"},
	Interpreters: []string{"php"},
	Scan: &Scan{
		LineComments:  []string{"//", "#"},
		BlockComments: starComments,
		Quotes:        []Quote{{Open: `"`, Close: `"`, Escape: '\\', Multiline: true}, {Open: `'`, Close: `'`, Escape: '\\', Multiline: true}},
		Rules: []Rule{
			{Pattern: `^[ \t]*(?:(?:abstract|final|readonly)[ \t]+)*(?P<kind>class|interface|trait|enum)[ \t]+(?P<name>\w+)`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindFunction, Pattern: `^[ \t]*(?:(?:public|protected|private|static|final|abstract)[ \t]+)*function[ \t]+&?(?P<name>\w+)[ \t]*\(`, Body: BodyMaybe},
			{Kind: KindConstant, Pattern: `^[ \t]*(?:(?:public|protected|private|final)[ \t]+)*const[ \t]+(?:\w+[ \t]+)?(?P<name>\w+)[ \t]*=`, Body: BodyStatement},
		},
		Imports: []ImportRule{
			{Pattern: `^[ \t]*use[ \t]+(?:function[ \t]+|const[ \t]+)?\\?(?P<name>\w[\w\\]*)(?:[ \t]+as[ \t]+(?P<alias>\w+))?`, Seeks: seekName("php")},
			{Pattern: `\b(?:include|require)(?:_once)?[ \t(]+(?:__DIR__[ \t]*\.[ \t]*)?["'](?P<name>[^"'\n]+)["']`, Seeks: seekInclude},
		},
		Module: `^[ \t]*(?:<\?php[ \t]+)?namespace[ \t]+(?P<name>[\w\\]+)`,
		Provide: func(src Source, module string) []string {
			class := strings.TrimSuffix(path.Base(src.Path), path.Ext(src.Path))
			if module != "" {
				class = module + `\` + class
			}
			return []string{"php:" + class}
		},
		Hidden: `^[^({]*\bprivate\b`,
	},
})

// seekInclude takes what follows __DIR__ as relative to the file; a path that
// really begins at the root of the disk cannot be resolved anyway.
func seekInclude(src Source, module string) []string {
	return seekPaths([]string{""})(src, strings.TrimPrefix(module, "/"))
}
