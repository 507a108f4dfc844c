package lang

// Symbol kinds, as stored in code.symbols.kind and shown by report.symbols.
const (
	KindFunction  = "function"
	KindMethod    = "method"
	KindClass     = "class"
	KindStruct    = "struct"
	KindInterface = "interface"
	KindTrait     = "trait"
	KindEnum      = "enum"
	KindType      = "type"
	KindConstant  = "constant"
	KindVariable  = "variable"
	KindField     = "field" // a member: struct field, interface method, prototype in a header, property, key of a data file
	KindModule    = "module"
	KindMacro     = "macro"
)

// Extraction is everything a parser found in one file.
type Extraction struct {
	Language string // as Detect names it: "Go", "Python", "TSX", ...
	Parser   string // what produced it: "go/parser", "tree-sitter", "goldmark", "decoder", "lexer", "lines"
	Module   string // package or module name the file declares or implies; may be empty
	Doc      string // package or module documentation; may be empty

	Symbols []Symbol  // in order of StartByte; a parent precedes its children
	Imports []Import  // in order of Line
	Calls   []Call    // in order of Line
	Types   []TypeRef // in order of Line; each once for what names it

	// Provides are the names by which other files may import this one, each with
	// its family's prefix: "go:net/http" (the directory, relative to the codebase),
	// "py:pkg.mod", "js:src/util" (path without extension), "rs:src/a/b",
	// "ex:MyApp.Users", "path:docs/guide.md".
	Provides []string

	// Roots map import prefixes to this file's directory; manifests declare them
	// (go.mod's module path, package.json's name, Cargo.toml's crate name).
	Roots []Root

	// Requirements are the packages that a manifest declares as needed, in order of Line.
	Requirements []Requirement

	ParseErrors int    // syntax errors that the parser recovered from
	Partial     string // why the extraction is incomplete ("parse timeout", "12 syntax errors"); empty when whole
}

// Symbol is one definition.
type Symbol struct {
	Kind          string // one of the Kind constants
	Name          string // as written at the definition; at most MaxName bytes
	QualifiedName string // dotted path within the file's module: "Client.Do", "Outer.Inner.method"; at most MaxQualifiedName bytes
	Key           string // unique in its file and stable under edits elsewhere: kind, qualified name, ordinal among equals
	ParentKey     string // Key of the enclosing symbol; empty at top level
	Signature     string // one line, white space folded, without the body; at most MaxSignature bytes
	Doc           string // documentation comment, without comment markers; may be empty; at most MaxDoc bytes
	Exported      bool   // visible outside its module by the language's rule
	StartLine     int    // 1-based, of the definition itself (not of its comment)
	EndLine       int    // 1-based, inclusive
	StartByte     int    // 0-based, half open with EndByte
	EndByte       int
	Complexity    int // cyclomatic complexity (McCabe 1976: decisions + 1); 0 for what has no body
}

// Import is one dependency that a file declares.
type Import struct {
	Module string   // as written: "net/http", "./util", "os.path", "crate::db"
	Alias  string   // local name for the module, where the language gives it one: "http", "np"; "." and "_" as written in Go
	Names  []string // names taken from the module: "a", and "a as b" for a renamed one
	Line   int      // 1-based

	// Exports are the names under which the file passes on what it imports, to whoever
	// imports the file: "a", "a as b", "*" for all that the module has but its default,
	// "* as b" for the module itself.
	Exports []string

	// Seeks lists, best first, the Provides names that would satisfy the import.
	// A name with an unknown root is given as written ("go:example.com/m/db",
	// "js:@org/pkg/x"); Roots translate it when the database resolves it.
	Seeks []string
}

// Root declares that import names starting with Prefix live under the directory
// of the manifest that declares it.
type Root struct {
	Prefix    string // with its family: "go:example.com/m", "js:@org/pkg", "rs:mycrate"
	Directory string // relative to the codebase, "" for its top
}

// Kinds of requirements, as stored in code.requirements.kind.
const (
	NeedRuntime  = "runtime"
	NeedDev      = "dev"
	NeedBuild    = "build"
	NeedOptional = "optional"
	NeedPeer     = "peer"     // whoever uses the package brings it
	NeedIndirect = "indirect" // needed by what is needed
)

// Requirement is one package that a manifest declares as needed.
type Requirement struct {
	Ecosystem string // where the name means something: "go", "npm", "cargo", "pypi", "hex", "maven", "rubygems", "composer"
	Name      string // as the ecosystem writes it; at most MaxName bytes
	Version   string // range of versions or another source, as written; may be empty; at most MaxSignature bytes
	Kind      string // one of the Need constants
	Line      int    // 1-based
}

// Call is one call or invocation.
type Call struct {
	CallerKey string // Key of the innermost function or method around it; empty at top level
	Name      string // the called name: "Do" in client.Do(req)
	Qualifier string // what stands before the name: "client", "http", "self", "s.conn", "open()"; empty when nothing does
	Line      int    // 1-based

	// QualifierType is the type of the qualifier where the file's own text tells
	// it: "Client" for c in func (c *Client), "http.Request" for a parameter. Empty
	// otherwise, and where the qualifier is a module.
	QualifierType string
}

// Ways to name a type, as stored in code.type_refs.kind.
const (
	TypeExtends    = "extends"    // a base class, an embedded type, an extended interface
	TypeImplements = "implements" // where the language tells it from extending
	TypeField      = "field"      // of a field or a member
	TypeSignature  = "signature"  // a parameter, a result, a constraint
	TypeVariable   = "variable"   // of a variable or constant outside functions
	TypeAlias      = "alias"      // what another type is defined as
	TypeBody       = "body"       // inside a function
)

// TypeRef is a type that a definition names, other than those that the language
// predeclares and the definition's own type parameters.
type TypeRef struct {
	UserKey string // Key of the innermost definition around it that is kept; empty at top level
	Kind    string // one of the Type constants
	Name    string // as written, without arguments: "Client", "http.Request", "std::vector"
	Line    int    // 1-based, where it is named first
}

// Limits of what a symbol, import or call may carry. They keep every value
// within what a PostgreSQL btree or GIN entry can hold (about 2,700 bytes).
const (
	MaxName          = 255
	MaxQualifiedName = 1000
	MaxSignature     = 500
	MaxDoc           = 16 << 10
	MaxImportName    = 1000 // of a module, a Provides, Seeks or Root name; longer ones are left out
)
