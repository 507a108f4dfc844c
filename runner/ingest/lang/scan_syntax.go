package lang

// What many languages share, for the Scan of each.

var (
	doubleQuoted = Quote{Open: `"`, Close: `"`, Escape: '\\'}
	singleQuoted = Quote{Open: `'`, Close: `'`, Escape: '\\'}
	tripleQuoted = Quote{Open: `"""`, Close: `"""`, Multiline: true}

	slashComments = []string{"//"}
	starComments  = [][2]string{{"/*", "*/"}}
	hashComments  = []string{"#"}
)

// typeKeywords are the words with which languages define types.
var typeKeywords = map[string]string{
	"class": KindClass, "record": KindClass, "object": KindClass, "actor": KindClass, "annotation": KindClass, "contract": KindClass,
	"struct": KindStruct, "union": KindStruct, "message": KindStruct, "input": KindStruct,
	"interface": KindInterface, "protocol": KindInterface, "@interface": KindInterface, "service": KindInterface,
	"trait": KindTrait, "mixin": KindTrait,
	"enum": KindEnum, "type": KindType, "typedef": KindType, "typealias": KindType, "extension": KindType, "scalar": KindType,
	"module": KindModule, "namespace": KindModule, "package": KindModule, "library": KindModule,
}
