package lang

import (
	"go/ast"
	"go/token"
)

// goBody walks the body of one function, or the value of a package variable. It
// counts decisions, records calls, and follows local names through their scopes
// so that a call says which type it is made on where the file's text tells that.
type goBody struct {
	file      *goFile
	caller    Ref
	user      Ref // whose types they are that the body names: caller, or the variable outside functions
	decisions int // cyclomatic complexity: decisions + 1

	locals []goLocal // innermost last
	marks  []int     // length of locals where each open scope began; -1 for a node without a scope
}

type goLocal struct {
	name string
	typ  ast.Expr // nil where the text does not tell
}

// goTypeParameter is what the name of a type parameter, or of a type declared in
// a function, is bound to: a name that means nothing outside.
var goTypeParameter ast.Expr = &ast.BadExpr{}

func (b *goBody) function(d *ast.FuncDecl) {
	if d.Recv != nil {
		for _, field := range d.Recv.List {
			b.typeParameters(receiverParameters(field.Type))
		}
	}
	if d.Type.TypeParams != nil {
		for _, field := range d.Type.TypeParams.List {
			b.typeParameters(field.Names)
		}
	}
	b.parameters(d.Recv)
	b.parameters(d.Type.Params)
	b.parameters(d.Type.Results)
	b.walk(d.Body)
}

func receiverParameters(t ast.Expr) (names []*ast.Ident) {
	ast.Inspect(t, func(n ast.Node) bool {
		var indices []ast.Expr
		switch n := n.(type) {
		case *ast.IndexExpr:
			indices = []ast.Expr{n.Index}
		case *ast.IndexListExpr:
			indices = n.Indices
		}
		for _, index := range indices {
			if id, ok := index.(*ast.Ident); ok {
				names = append(names, id)
			}
		}
		return true
	})
	return names
}

func (b *goBody) typeParameters(names []*ast.Ident) {
	for _, name := range names {
		b.bind(name.Name, goTypeParameter)
	}
}

func (b *goBody) parameters(list *ast.FieldList) {
	if list == nil {
		return
	}
	for _, field := range list.List {
		t := field.Type
		if variadic, ok := t.(*ast.Ellipsis); ok {
			t = &ast.ArrayType{Elt: variadic.Elt}
		}
		for _, name := range field.Names {
			b.bind(name.Name, t)
		}
	}
}

func (b *goBody) bind(name string, t ast.Expr) {
	if name == "_" {
		return
	}
	b.locals = append(b.locals, goLocal{name, t})
}

func (b *goBody) lookup(name string) (ast.Expr, bool) {
	for i := len(b.locals) - 1; i >= 0; i-- {
		if b.locals[i].name == name {
			return b.locals[i].typ, true
		}
	}
	return nil, false
}

func (b *goBody) open() { b.marks = append(b.marks, len(b.locals)) }

func (b *goBody) close() {
	last := len(b.marks) - 1
	if mark := b.marks[last]; mark >= 0 {
		b.locals = b.locals[:mark]
	}
	b.marks = b.marks[:last]
}

func (b *goBody) walk(n ast.Node) { ast.Inspect(n, b.visit) }

// visit is called for each node before its children, and with nil after them.
func (b *goBody) visit(n ast.Node) bool {
	switch n := n.(type) {
	case nil:
		b.close()
		return false
	case *ast.Ident, *ast.BasicLit, *ast.CommentGroup:
		return false
	case *ast.IfStmt:
		b.decisions++
		b.open()
		return true
	case *ast.ForStmt:
		b.decisions++
		b.open()
		return true
	case *ast.RangeStmt:
		b.decisions++
		b.rangeOver(n)
		return false
	case *ast.CaseClause:
		if n.List != nil {
			b.decisions++
		}
		b.open()
		return true
	case *ast.CommClause:
		if n.Comm != nil {
			b.decisions++
		}
		b.open()
		return true
	case *ast.TypeSwitchStmt:
		b.typeSwitch(n)
		return false
	case *ast.BlockStmt, *ast.SwitchStmt:
		b.open()
		return true
	case *ast.FuncLit:
		b.names(n.Type)
		b.open()
		b.parameters(n.Type.Params)
		b.parameters(n.Type.Results)
		b.walk(n.Body)
		b.close()
		return false
	case *ast.BinaryExpr:
		if n.Op == token.LAND || n.Op == token.LOR {
			b.decisions++
		}
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			b.define(n)
			return false
		}
	case *ast.DeclStmt:
		if d, ok := n.Decl.(*ast.GenDecl); ok {
			b.declare(d)
		}
		return false
	case *ast.CallExpr:
		b.call(n)
		if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && (id.Name == "new" || id.Name == "make") {
			b.names(n.Args[0])
		}
	case *ast.CompositeLit:
		// Keys are field names or values; types hold no calls.
		b.names(n.Type)
		for _, e := range n.Elts {
			b.walk(e)
		}
		return false
	case *ast.TypeAssertExpr:
		b.names(n.Type)
	case *ast.FuncType, *ast.StructType, *ast.InterfaceType, *ast.MapType, *ast.ChanType:
		return false
	}
	b.marks = append(b.marks, -1)
	return true
}

func (b *goBody) define(n *ast.AssignStmt) {
	for _, e := range n.Rhs {
		b.walk(e)
	}
	types := make([]ast.Expr, len(n.Lhs))
	if len(n.Lhs) == len(n.Rhs) {
		for i, e := range n.Rhs {
			types[i] = b.typeOf(e, 0)
		}
	} else if len(n.Rhs) == 1 {
		switch e := n.Rhs[0].(type) {
		case *ast.CallExpr:
			for i := range types {
				types[i] = b.resultOf(e, i, 0)
			}
		default: // v, ok := of an assertion, an index or a channel
			types[0] = b.typeOf(e, 0)
		}
	}
	for i, e := range n.Lhs {
		if id, ok := e.(*ast.Ident); ok {
			b.bind(id.Name, types[i])
		}
	}
}

func (b *goBody) declare(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			b.names(s.Type)
			for _, v := range s.Values {
				b.walk(v)
			}
			for i, name := range s.Names {
				t := s.Type
				if t == nil && len(s.Values) == len(s.Names) {
					t = b.typeOf(s.Values[i], 0)
				}
				b.bind(name.Name, t)
			}
		case *ast.TypeSpec:
			b.locals = append(b.locals, goLocal{s.Name.Name, goTypeParameter})
		}
	}
}

func (b *goBody) rangeOver(n *ast.RangeStmt) {
	b.walk(n.X)
	b.open()
	if n.Tok == token.DEFINE {
		key, value := b.elementsOf(n.X)
		for _, v := range []struct {
			e ast.Expr
			t ast.Expr
		}{{n.Key, key}, {n.Value, value}} {
			if id, ok := v.e.(*ast.Ident); ok {
				b.bind(id.Name, v.t)
			}
		}
	} else {
		for _, e := range []ast.Expr{n.Key, n.Value} {
			if e != nil {
				b.walk(e)
			}
		}
	}
	b.walk(n.Body)
	b.close()
}

// typeSwitch binds the switch's variable in each clause to the clause's type.
func (b *goBody) typeSwitch(n *ast.TypeSwitchStmt) {
	b.open()
	defer b.close()
	if n.Init != nil {
		b.walk(n.Init)
	}
	name := ""
	switch assign := n.Assign.(type) {
	case *ast.AssignStmt:
		if id, ok := assign.Lhs[0].(*ast.Ident); ok {
			name = id.Name
		}
		for _, e := range assign.Rhs {
			b.walk(e)
		}
	case *ast.ExprStmt:
		b.walk(assign.X)
	}
	for _, stmt := range n.Body.List {
		clause, ok := stmt.(*ast.CaseClause)
		if !ok {
			continue
		}
		if clause.List != nil {
			b.decisions++
		}
		for _, t := range clause.List {
			b.names(t)
		}
		b.open()
		if name != "" {
			var t ast.Expr
			if len(clause.List) == 1 {
				t = clause.List[0]
			}
			b.bind(name, t)
		}
		for _, s := range clause.Body {
			b.walk(s)
		}
		b.close()
	}
}
