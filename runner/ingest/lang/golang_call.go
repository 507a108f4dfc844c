package lang

import (
	"go/ast"
	"go/token"
)

// maxGoDepth bounds how far a chain like a.b().c is followed.
const maxGoDepth = 12

// goPredeclared are functions and types that every Go file can name without
// declaring them. min, max, clear and close are not among them: programs written
// before these were built in, or with a use of their own for the names, define
// them, and then the call matters.
var goPredeclared = map[string]bool{
	"append": true, "cap": true, "complex": true, "copy": true, "delete": true, "imag": true, "len": true,
	"make": true, "new": true, "panic": true, "print": true, "println": true, "real": true, "recover": true,
	"any": true, "bool": true, "byte": true, "comparable": true, "complex64": true, "complex128": true, "error": true,
	"float32": true, "float64": true, "int": true, "int8": true, "int16": true, "int32": true, "int64": true, "rune": true,
	"string": true, "uint": true, "uint8": true, "uint16": true, "uint32": true, "uint64": true, "uintptr": true,
}

// learn notes what the file declares at package level.
func (f *goFile) learn() {
	for _, decl := range f.tree.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if receiver := receiverName(d.Recv); receiver != "" {
				name = receiver + "." + name
			}
			f.funcs[name] = d.Type
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					f.types[s.Name.Name] = s.Type
				case *ast.ValueSpec:
					f.learnValues(s)
				}
			}
		}
	}
}

func (f *goFile) learnValues(s *ast.ValueSpec) {
	outside := goBody{file: f, caller: None}
	for i, name := range s.Names {
		switch {
		case s.Type != nil:
			f.globals[name.Name] = s.Type
		case len(s.Values) == len(s.Names):
			if t := outside.typeOf(s.Values[i], 0); t != nil {
				f.globals[name.Name] = t
			}
		}
	}
}

// call records a call, unless it is a conversion, a built-in, or a call of a
// function value that has no name outside this function.
func (b *goBody) call(n *ast.CallExpr) {
	fun := n.Fun
unwrap:
	for {
		switch e := fun.(type) {
		case *ast.ParenExpr:
			fun = e.X
		case *ast.IndexExpr: // f[T](x)
			fun = e.X
		case *ast.IndexListExpr:
			fun = e.X
		default:
			break unwrap
		}
	}
	switch e := fun.(type) {
	case *ast.Ident:
		if _, local := b.lookup(e.Name); local {
			return
		}
		if _, conversion := b.file.types[e.Name]; conversion {
			return
		}
		if _, own := b.file.funcs[e.Name]; !own && goPredeclared[e.Name] {
			return
		}
		b.file.Call(b.caller, e.Name, "", b.file.offset(e.Pos()))
	case *ast.SelectorExpr:
		on := typeName(b.typeOf(e.X, 0))
		if t, local := b.lookup(on); local && t == goTypeParameter {
			on = ""
		}
		b.file.CallOn(b.caller, e.Sel.Name, qualifierText(e.X, 0), on, b.file.offset(e.Sel.Pos()))
	}
}

// qualifierText writes what stands before a called name, with the insides of
// brackets left out: a.b, open(), list[], x.(T), T{}.
func qualifierText(e ast.Expr, depth int) string {
	if depth > maxGoDepth {
		return "…"
	}
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return qualifierText(e.X, depth+1) + "." + e.Sel.Name
	case *ast.CallExpr:
		return qualifierText(e.Fun, depth+1) + "()"
	case *ast.IndexExpr:
		return qualifierText(e.X, depth+1) + "[]"
	case *ast.SliceExpr:
		return qualifierText(e.X, depth+1) + "[]"
	case *ast.TypeAssertExpr:
		return qualifierText(e.X, depth+1) + ".(" + typeName(e.Type) + ")"
	case *ast.CompositeLit:
		return typeName(e.Type) + "{}"
	case *ast.ParenExpr:
		return qualifierText(e.X, depth+1)
	case *ast.StarExpr:
		return qualifierText(e.X, depth+1)
	case *ast.UnaryExpr:
		return qualifierText(e.X, depth+1)
	}
	return "()"
}

// typeName returns the name of a type, or of what it points to: "Client",
// "http.Request". Types without a name, predeclared ones and type parameters have none.
func typeName(t ast.Expr) string {
	for depth := 0; depth < maxGoDepth; depth++ {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.ParenExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.UnaryExpr: // ~T
			t = e.X
		case *ast.Ident:
			if goPredeclared[e.Name] && e.Name != "error" {
				return ""
			}
			return e.Name
		case *ast.SelectorExpr:
			if pkg, ok := e.X.(*ast.Ident); ok {
				return pkg.Name + "." + e.Sel.Name
			}
			return ""
		default:
			return ""
		}
	}
	return ""
}

// typeOf returns the type of an expression as far as the file's text tells it;
// nil where it does not.
func (b *goBody) typeOf(e ast.Expr, depth int) ast.Expr {
	if depth > maxGoDepth {
		return nil
	}
	depth++
	switch e := e.(type) {
	case *ast.Ident:
		if t, local := b.lookup(e.Name); local {
			return t
		}
		return b.file.globals[e.Name]
	case *ast.ParenExpr:
		return b.typeOf(e.X, depth)
	case *ast.StarExpr:
		return pointee(b.typeOf(e.X, depth))
	case *ast.UnaryExpr:
		switch e.Op {
		case token.AND:
			if t := b.typeOf(e.X, depth); t != nil {
				return &ast.StarExpr{X: t}
			}
		case token.ARROW:
			_, value := b.parts(b.typeOf(e.X, depth))
			return value
		}
	case *ast.CompositeLit:
		return e.Type
	case *ast.TypeAssertExpr:
		return e.Type
	case *ast.SelectorExpr:
		return b.fieldOf(b.typeOf(e.X, depth), e.Sel.Name)
	case *ast.IndexExpr:
		_, value := b.parts(b.typeOf(e.X, depth))
		return value
	case *ast.SliceExpr:
		return b.typeOf(e.X, depth)
	case *ast.CallExpr:
		return b.resultOf(e, 0, depth)
	case *ast.FuncLit:
		return e.Type
	}
	return nil
}

// resultOf returns the type of a call's i-th result.
func (b *goBody) resultOf(call *ast.CallExpr, i, depth int) ast.Expr {
	var t *ast.FuncType
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		if bound, local := b.lookup(fun.Name); local {
			t, _ = bound.(*ast.FuncType)
			break
		}
		if own, ok := b.file.funcs[fun.Name]; ok {
			t = own
			break
		}
		if _, conversion := b.file.types[fun.Name]; conversion {
			return fun
		}
		if len(call.Args) > 0 {
			switch fun.Name {
			case "new":
				return &ast.StarExpr{X: call.Args[0]}
			case "make":
				return call.Args[0]
			case "append":
				return b.typeOf(call.Args[0], depth)
			}
		}
	case *ast.SelectorExpr:
		if owner := b.typeOf(fun.X, depth); owner != nil {
			t = b.file.funcs[typeName(owner)+"."+fun.Sel.Name]
			if t == nil { // a field of function type, or a method of an interface
				t, _ = b.fieldOf(owner, fun.Sel.Name).(*ast.FuncType)
			}
		}
	case *ast.ParenExpr: // (*T)(x)
		if _, ok := fun.X.(*ast.StarExpr); ok {
			return fun.X
		}
	case *ast.FuncLit:
		t = fun.Type
	}
	if t == nil || t.Results == nil || t.TypeParams != nil {
		return nil
	}
	for _, field := range t.Results.List {
		n := max(len(field.Names), 1)
		if i < n {
			return field.Type
		}
		i -= n
	}
	return nil
}

func pointee(t ast.Expr) ast.Expr {
	if star, ok := t.(*ast.StarExpr); ok {
		return star.X
	}
	return t
}

// underlying follows a name to its definition where this file holds it.
func (b *goBody) underlying(t ast.Expr) ast.Expr {
	for depth := 0; depth < maxGoDepth; depth++ {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.ParenExpr:
			t = e.X
		case *ast.Ident:
			definition, ok := b.file.types[e.Name]
			if !ok {
				return nil
			}
			t = definition
		default:
			return t
		}
	}
	return nil
}

// fieldOf returns the type of a field of a struct, or of a method of an
// interface, defined in this file.
func (b *goBody) fieldOf(owner ast.Expr, name string) ast.Expr {
	if owner == nil {
		return nil
	}
	var list *ast.FieldList
	switch t := b.underlying(owner).(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	for _, field := range list.List {
		for _, id := range field.Names {
			if id.Name == name {
				return field.Type
			}
		}
		if len(field.Names) == 0 {
			embedded := typeName(field.Type)
			if embedded == name || len(embedded) > len(name) && embedded[len(embedded)-len(name)-1:] == "."+name {
				return field.Type
			}
		}
	}
	return nil
}

// elementsOf returns the types of the variables of a range over e.
func (b *goBody) elementsOf(e ast.Expr) (key, value ast.Expr) {
	t := b.underlyingOrSelf(b.typeOf(e, 0))
	if _, channel := t.(*ast.ChanType); channel {
		_, value = b.parts(t)
		return value, nil
	}
	return b.parts(t)
}

// parts returns the key and element types of a container type.
func (b *goBody) parts(t ast.Expr) (key, value ast.Expr) {
	switch t := b.underlyingOrSelf(t).(type) {
	case *ast.ArrayType:
		return nil, t.Elt
	case *ast.MapType:
		return t.Key, t.Value
	case *ast.ChanType:
		return nil, t.Value
	}
	return nil, nil
}

func (b *goBody) underlyingOrSelf(t ast.Expr) ast.Expr {
	if t == nil {
		return nil
	}
	if u := b.underlying(t); u != nil {
		return u
	}
	return t
}
