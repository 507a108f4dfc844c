package lang

var _ = register(Language{
	Name:       "Objective-C",
	Aliases:    []string{"objc", "objectivec"},
	Extensions: []string{".m", ".h"},
	Marks:      []string{"\n@interface ", "\n@protocol ", "\n@end", "\n@class ", "\n#import ", "\n@property", "\n- (", "\n+ (", "NS_ASSUME_NONNULL_BEGIN"},
	Scan:       objectiveCScan(),
})

func objectiveCScan() *Scan {
	return &Scan{
		LineComments:  slashComments,
		BlockComments: starComments,
		Quotes:        []Quote{doubleQuoted, singleQuoted},
		Rules: []Rule{
			{Kind: KindMacro, Pattern: `^[ \t]*#[ \t]*define[ \t]+(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindFunction, Pattern: `^(?:[A-Za-z_][\w:<>,]*[ \t*&]+)*(?P<name>\w+)[ \t]*\(`, Body: BodyBraces, Loose: true},
			{Pattern: `^[ \t]*(?:typedef[ \t]+)?(?P<kind>struct|union|enum)[ \t]+(?P<name>\w+)\s*\{`, Kinds: typeKeywords, Body: BodyBraces},
			{Kind: KindType, Pattern: `^typedef\b[^;{}()]*\b(?P<name>\w+)[ \t]*;`, Body: BodyLine},
			{Kind: KindType, Pattern: `^\}[ \t]*(?P<name>\w+)[ \t]*;`, Body: BodyLine}, // typedef struct { ... } name;
			{Kind: KindMethod, Pattern: `^[-+][ \t]*\([^)]*\)[ \t]*(?P<name>\w+)`, Body: BodyBraces},
			{Kind: KindClass, Pattern: `^@implementation[ \t]+(?P<name>\w+)`, Body: BodyLine},
			{Kind: KindInterface, Pattern: `^@(?:interface|protocol)[ \t]+(?P<name>\w+)`, Body: BodyLine},
		},
		Imports: []ImportRule{{Pattern: `^[ \t]*#[ \t]*(?:include|import)[ \t]*[<"](?P<name>[^>"\n]+)[>"]`, Seeks: seekPaths([]string{"", "include", "src"})}},
		Owners:  "::",
		Hidden:  `^static\b`,
	}
}
