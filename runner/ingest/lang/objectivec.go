package lang

var _ = register(Language{
	Name:       "Objective-C",
	Aliases:    []string{"objc", "objectivec"},
	Extensions: []string{".m", ".h"},
	Marks:      []string{"\n@interface ", "\n@protocol ", "\n@end", "\n@class ", "\n#import ", "\n@property", "\n- (", "\n+ (", "NS_ASSUME_NONNULL_BEGIN"},
	Scan:       objectiveCScan(),
})

func objectiveCScan() *Scan {
	s := cScan(false)
	s.Rules = append(s.Rules,
		Rule{Kind: KindMethod, Pattern: `^[-+][ \t]*\([^)]*\)[ \t]*(?P<name>\w+)`, Body: BodyBraces},
		Rule{Kind: KindClass, Pattern: `^@implementation[ \t]+(?P<name>\w+)`, Body: BodyLine},
		Rule{Kind: KindInterface, Pattern: `^@(?:interface|protocol)[ \t]+(?P<name>\w+)`, Body: BodyLine},
	)
	return s
}
