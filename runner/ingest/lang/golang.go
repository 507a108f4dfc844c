package lang

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"path"
	"strconv"
	"strings"
)

var _ = register(Language{
	Name:       "Go",
	Aliases:    []string{"golang"},
	Extensions: []string{".go"},
	Extract:    extractGo,
})

// goFile is one Go file under extraction: the tree, and what its own text tells
// about names, so that calls can say what they are made on.
type goFile struct {
	*Builder
	text []byte
	tree *ast.File
	base int // token.Pos of offset 0

	types   map[string]ast.Expr      // type name to its definition
	funcs   map[string]*ast.FuncType // "F" or "T.M" to its type
	globals map[string]ast.Expr      // package variable to its type
}

// extractGo reads a file as go/parser does, going on after syntax errors. What
// several files of a package say together is left to the database.
func extractGo(_ context.Context, src Source) (Extraction, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", src.Text, parser.ParseComments|parser.SkipObjectResolution|parser.AllErrors)
	if tree == nil {
		return Extraction{}, err
	}
	f := &goFile{
		Builder: NewBuilder(src, "go/parser"),
		text:    src.Text,
		tree:    tree,
		base:    int(tree.FileStart),
		types:   map[string]ast.Expr{},
		funcs:   map[string]*ast.FuncType{},
		globals: map[string]ast.Expr{},
	}
	if list, ok := err.(scanner.ErrorList); ok {
		list.RemoveMultiples()
		f.Errors(len(list))
	}

	if tree.Name != nil && tree.Name.Name != "_" {
		f.Module(tree.Name.Name, docText(tree.Doc))
	}
	f.Provide("go:" + path.Dir(src.Path))
	f.learn()
	for _, decl := range tree.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			f.function(d)
		case *ast.GenDecl:
			f.declaration(d)
		}
	}
	return f.Extraction(), nil
}

func (f *goFile) offset(p token.Pos) int {
	if !p.IsValid() {
		return 0
	}
	return min(max(int(p)-f.base, 0), len(f.text))
}

func docText(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	return strings.TrimSpace(doc.Text())
}

// function adds a function or method and what its body does.
func (f *goFile) function(d *ast.FuncDecl) {
	s := Symbol{
		Kind:      KindFunction,
		Name:      d.Name.Name,
		Doc:       docText(d.Doc),
		Exported:  ast.IsExported(d.Name.Name),
		StartByte: f.offset(d.Pos()),
		EndByte:   f.offset(d.End()),
	}
	head := s.EndByte
	if d.Body != nil {
		head = f.offset(d.Body.Pos())
	}
	s.Signature = f.signature(s.StartByte, head)
	if d.Recv != nil {
		s.Kind = KindMethod
		if receiver := receiverName(d.Recv); receiver != "" {
			s.QualifiedName = receiver + "." + s.Name
		}
	}
	ref := f.Symbol(None, s)
	f.signatureTypes(ref, d)
	if d.Body != nil {
		body := goBody{file: f, caller: ref, user: ref, decisions: 1}
		body.function(d)
		f.At(ref).Complexity = body.decisions
	}
}

// receiverName returns the name of a receiver's base type.
func receiverName(recv *ast.FieldList) string {
	if recv == nil || len(recv.List) == 0 {
		return ""
	}
	return typeName(recv.List[0].Type)
}

// declaration adds what an import, const, type or var declaration declares.
func (f *goFile) declaration(d *ast.GenDecl) {
	for i, spec := range d.Specs {
		// The keyword belongs to a declaration that stands alone.
		start, end := f.offset(spec.Pos()), f.offset(spec.End())
		if !d.Lparen.IsValid() && i == 0 {
			start, end = f.offset(d.Pos()), f.offset(d.End())
		}
		switch s := spec.(type) {
		case *ast.ImportSpec:
			f.imported(s)
		case *ast.TypeSpec:
			f.typeSpec(s, firstDoc(s.Doc, d), start, end)
		case *ast.ValueSpec:
			kind := KindVariable
			if d.Tok == token.CONST {
				kind = KindConstant
			}
			f.valueSpec(s, d.Tok.String(), kind, firstDoc(s.Doc, d), start, end)
		}
	}
}

// firstDoc prefers a specification's own comment; one on the whole declaration
// speaks for a specification only where that stands alone.
func firstDoc(own *ast.CommentGroup, d *ast.GenDecl) string {
	if own == nil && !d.Lparen.IsValid() {
		own = d.Doc
	}
	return docText(own)
}

func (f *goFile) imported(s *ast.ImportSpec) {
	module, err := strconv.Unquote(s.Path.Value)
	if err != nil || module == "" {
		return
	}
	i := Import{Module: module, Alias: goPackageName(module), Seeks: []string{"go:" + module}}
	if module == "C" {
		i.Seeks = nil
	}
	if s.Name != nil {
		i.Alias = s.Name.Name
	}
	f.Import(f.offset(s.Pos()), i)
}

// goPackageName guesses the name of a package from its import path, as the go
// command's conventions have it: the last element that is no version.
func goPackageName(module string) string {
	base := path.Base(module)
	if dir := path.Dir(module); dir != "." && len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(dir)
	}
	if i := strings.LastIndex(base, ".v"); i > 0 {
		base = base[:i] // gopkg.in/yaml.v3
	}
	base = strings.TrimSuffix(strings.TrimPrefix(base, "go-"), "-go")
	return strings.ReplaceAll(strings.ReplaceAll(base, "-", "_"), ".", "_")
}

func (f *goFile) typeSpec(s *ast.TypeSpec, doc string, start, end int) {
	sym := Symbol{
		Kind:      KindType,
		Name:      s.Name.Name,
		Doc:       doc,
		Exported:  ast.IsExported(s.Name.Name),
		StartByte: start,
		EndByte:   end,
	}
	head := f.offset(s.End())
	var members *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		sym.Kind, members, head = KindStruct, t.Fields, f.offset(t.Fields.Opening)
	case *ast.InterfaceType:
		sym.Kind, members, head = KindInterface, t.Methods, f.offset(t.Methods.Opening)
	}
	sym.Signature = "type " + f.signature(f.offset(s.Pos()), head)
	ref := f.Symbol(None, sym)
	f.definitionTypes(ref, s)
	if members != nil {
		f.members(ref, members)
	}
}

// members adds the fields of a struct or the methods and embedded types of an
// interface, all of kind field: method is kept for what has a body of its own.
func (f *goFile) members(parent Ref, list *ast.FieldList) {
	for _, field := range list.List {
		names := field.Names
		if len(names) == 0 {
			if name := typeName(field.Type); name != "" {
				names = []*ast.Ident{{NamePos: field.Pos(), Name: name[strings.LastIndexByte(name, '.')+1:]}}
			}
		}
		doc := docText(field.Doc)
		if doc == "" {
			doc = docText(field.Comment)
		}
		end := f.offset(field.End())
		for _, name := range names {
			if name.Name == "_" {
				continue
			}
			start := f.offset(name.Pos())
			signature := name.Name
			if len(field.Names) > 0 {
				separator := " "
				if _, method := field.Type.(*ast.FuncType); method && field.Type.Pos() == field.Names[0].End() {
					separator = "" // of an interface: Read(p []byte)
				}
				signature += separator + f.fieldType(field.Type)
			} else {
				signature = f.fieldType(field.Type)
			}
			ref := f.Symbol(parent, Symbol{
				Kind: KindField, Name: name.Name, Signature: signature, Doc: doc,
				Exported: ast.IsExported(name.Name), StartByte: start, EndByte: end,
			})
			if inner, ok := field.Type.(*ast.StructType); ok && len(names) == 1 {
				f.members(ref, inner.Fields)
			}
		}
	}
}

// fieldType writes a type on one line, leaving out the inside of what has one.
func (f *goFile) fieldType(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StructType:
		return "struct"
	case *ast.InterfaceType:
		if len(t.Methods.List) > 0 {
			return "interface"
		}
	}
	return f.signature(f.offset(t.Pos()), f.offset(t.End()))
}

func (f *goFile) valueSpec(s *ast.ValueSpec, keyword, kind, doc string, start, end int) {
	if doc == "" {
		doc = docText(s.Comment)
	}
	user := None
	for i, name := range s.Names {
		if name.Name == "_" {
			continue
		}
		if i > 0 {
			start = f.offset(name.Pos())
		}
		signature := keyword + " " + name.Name
		if s.Type != nil {
			signature += " " + f.fieldType(s.Type)
		}
		if len(s.Values) == len(s.Names) {
			signature += " = " + f.firstLine(s.Values[i])
		}
		ref := f.Symbol(None, Symbol{
			Kind: kind, Name: name.Name, Signature: signature, Doc: doc,
			Exported: ast.IsExported(name.Name), StartByte: start, EndByte: end,
		})
		if user == None {
			user = ref
		}
	}
	f.uses(user, TypeVariable, s.Type, nil)
	for _, value := range s.Values {
		body := goBody{file: f, caller: None, user: user}
		body.walk(value)
	}
}

// firstLine returns an expression's text up to its first line break.
func (f *goFile) firstLine(e ast.Expr) string {
	text := f.text[f.offset(e.Pos()):f.offset(e.End())]
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = append(bytes.TrimRight(text[:i:i], " \t\r"), "…"...)
	}
	return string(text[:min(len(text), 4*MaxSignature)])
}

// signature returns the text between two offsets without comments.
func (f *goFile) signature(start, end int) string {
	end = min(max(start, end), start+8*MaxSignature, len(f.text))
	text := f.text[start:end]
	if bytes.Contains(text, []byte("//")) || bytes.Contains(text, []byte("/*")) {
		text = f.withoutComments(start, end)
	}
	return FoldSignature(string(text))
}

func (f *goFile) withoutComments(start, end int) []byte {
	var kept []byte
	for _, group := range f.tree.Comments {
		for _, c := range group.List {
			from, to := f.offset(c.Pos()), f.offset(c.End())
			if to <= start || from >= end {
				continue
			}
			kept = append(append(kept, f.text[start:max(start, from)]...), ' ')
			start = min(to, end)
		}
	}
	return append(kept, f.text[start:end]...)
}
