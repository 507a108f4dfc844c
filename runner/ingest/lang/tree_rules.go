package lang

import (
	"unsafe"
)

// treeRules say what the nodes of one tree-sitter grammar mean. They are data: to
// support a language, write a table of rules, and functions only for what the
// table cannot say. Node types and fields are those of the grammar; a rule that
// names one the grammar lacks is reported by every extraction, so a typing
// mistake cannot hide.
//
// python.go is a complete example. To see the tree of a snippet, print the
// treesitter.Tree of it in a test.
type treeRules struct {
	language string // name of the language, for errors
	grammar  func() unsafe.Pointer

	// mask blanks what the grammar would stumble over. It keeps every offset, and
	// returns its argument where there is nothing to do.
	mask func(text []byte) []byte

	// refuse says why a text is not to be parsed: one on which the grammar takes
	// quadratic time that no limit interrupts. Empty for any other.
	refuse func(text []byte) string

	defines []defineRule // in order of preference where a node type has several
	calls   []callRule
	binds   []bindRule

	// Names. A chain such as a.b(c).d is read with these.
	names    []string              // node types that are a plain name
	members  map[string]memberRule // node types for "name of something"
	patterns []string              // node types that bind every name inside them: (a, [b, c])
	unwrap   map[string]string     // node types that stand for their child in the field, "" for the first: f::<T>
	self     []string              // what a method calls its own object or type

	// constructor says whether a function of a type returns one of that type.
	constructor func(name string) bool
	// typeNode looks through types that behave like another one, such as pointers.
	typeNode func(w *treeWalk, node int) int

	// Complexity. Each decision adds its weight to the innermost function or
	// method. A multiway branch is the sum of its arms less one: arm 1, whole -1.
	decisions map[string]int
	operators []string // boolean operators, where they fill a field

	// Scopes.
	wrappers  []string // node types that belong to the definition inside them: export, decorated
	local     []string // node types inside which variables are nobody else's business
	signature []string // like local, but the names bound inside are the function's: parameter lists
	pascal    bool     // methods are spelled as types are
	bare      bool     // methods name the fields of their own object without saying self
	unsigned  []string // node types that begin a definition and are no part of its signature: decorators
	skip      []string // node types nothing is taken out of

	// Documentation. Comments and attached nodes count where they stand directly
	// before a definition.
	comments   []string                  // node types of comments
	attached   []string                  // node types that may stand among them and belong to the definition: attributes
	isDoc      func(comment []byte) bool // whether a comment is documentation
	joinDocs   bool                      // whether several comments in a row are one documentation
	docLoosely bool                      // whether blank lines may come between documentation and definition
	// docOf reads documentation in an attached node, which is no part of the
	// definition then; not ok ends the search.
	docOf func(w *treeWalk, attached int) (doc string, ok bool)
	// docInside reads documentation at the start of a body, for languages that keep
	// it there.
	docInside func(w *treeWalk, body int) string

	// Types that definitions name.
	types        []string          // node types that name a type wherever they stand
	typeHeads    []string          // node types under which plain names are types
	typeHeadsIn  []string          // node types that are such heads where they fill one of the next
	typeFields   map[string]string // fields whose plain names are types, with the kind of the reference; "" to tell by what is around
	typeParents  map[string]string // node types above a type that tell the kind of the reference
	typeDeclares []string          // node types that declare a type parameter, their first name

	// What the table cannot say. A visit function handles all nodes of a type, before
	// the rules do, and says whether to go on inside; imports are found this way.
	visit   map[string]func(w *treeWalk, node int) (inside bool)
	visible func(w *treeWalk, node int, name string) bool // whether a definition can be seen outside its module
	begin   func(w *treeWalk)                             // names the module and what it provides
	end     func(w *treeWalk)                             // what only the whole file tells
}

// defineRule says that a node defines something.
type defineRule struct {
	node   string              // node type
	where  map[string][]string // the rule holds only where these fields have one of these node types
	kind   string              // of the symbol; "" where it defines nothing
	inside map[string]string   // the kind where it is another, by the kind of the symbol around
	name   string              // path of fields to the name, "declarator.name"
	body   string              // path of fields to the body; the signature ends before it

	callable bool // calls and decisions inside are its own
	scope    bool // definitions inside are its members
	data     bool // a variable or constant: local inside functions, and only its first definition counts
	each     bool // data of which every definition counts: members of the variants of a type
	overload bool // belongs to a neighbour of the same name before it that has no body

	// refine looks closer: it may change the symbol, or return false where the node
	// defines nothing after all.
	refine func(w *treeWalk, node int, s *Symbol) bool
}

// memberRule says where the two sides of "name of something" are.
type memberRule struct {
	of        string // field of what comes before the name, "" for the first child
	name      string // field of the name, "" for the last child
	separator string
}

// callRule says that a node calls what it has in a field, "" for its first child.
type callRule struct {
	node   string
	callee string
	// of is the field of what comes before the name where the call itself has it,
	// not a member below it; separator is what stands between, "." unless given.
	of        string
	separator string
	ignore    []string                         // names that are no calls: keywords that look like functions
	accept    func(w *treeWalk, node int) bool // whether it is a call at all; nil for yes
}

// bindRule says that a node gives a name a meaning, and where its type can be read:
// in a type annotation, or in a value that constructs it. The name is local, or,
// where it is a member of the method's own object (self.x = X()), a field's. Calls
// on such names then carry the type. A call of a parameter is no call of anything
// that has a name elsewhere, and is not recorded.
type bindRule struct {
	node      string
	name      string            // path of fields to the name, "" for the first child
	typ       string            // path of fields to the type annotation
	value     string            // path of fields to the value
	construct map[string]string // by node type of the value: path of fields to the type's name in it
	parameter bool
	field     bool // of the type around, not of the function
}
