package lang

import (
	"go/ast"
	"slices"
)

// signatureTypes adds the types that a function's signature names. The receiver is
// left out: a type is not used by having methods.
func (f *goFile) signatureTypes(user Ref, d *ast.FuncDecl) {
	var own []string
	if d.Recv != nil {
		for _, field := range d.Recv.List {
			for _, name := range receiverParameters(field.Type) {
				own = append(own, name.Name)
			}
		}
	}
	own = append(own, parameterNames(d.Type.TypeParams)...)
	f.usesOf(user, TypeSignature, d.Type.TypeParams, own)
	f.uses(user, TypeSignature, d.Type, own)
}

func parameterNames(list *ast.FieldList) (names []string) {
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// definitionTypes adds the types that a type is made of.
func (f *goFile) definitionTypes(user Ref, s *ast.TypeSpec) {
	own := parameterNames(s.TypeParams)
	f.usesOf(user, TypeSignature, s.TypeParams, own)
	members := func(list *ast.FieldList, named string) {
		for _, field := range list.List {
			kind := named
			if len(field.Names) == 0 {
				kind = TypeExtends
			}
			f.uses(user, kind, field.Type, own)
		}
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		members(t.Fields, TypeField)
	case *ast.InterfaceType:
		members(t.Methods, TypeSignature)
	default:
		f.uses(user, TypeAlias, s.Type, own)
	}
}

func (f *goFile) usesOf(user Ref, kind string, list *ast.FieldList, own []string) {
	if list == nil {
		return
	}
	for _, field := range list.List {
		f.uses(user, kind, field.Type, own)
	}
}

// uses adds the names in a type expression but those in own, which are the
// definition's own.
func (f *goFile) uses(user Ref, kind string, t ast.Expr, own []string) {
	switch t := t.(type) {
	case *ast.Ident:
		if _, defined := f.types[t.Name]; (defined || !goPredeclared[t.Name]) && !slices.Contains(own, t.Name) {
			f.Type(user, kind, t.Name, f.offset(t.Pos()))
		}
	case *ast.SelectorExpr:
		if pkg, ok := t.X.(*ast.Ident); ok {
			f.Type(user, kind, pkg.Name+"."+t.Sel.Name, f.offset(t.Sel.Pos()))
		}
	case *ast.StarExpr:
		f.uses(user, kind, t.X, own)
	case *ast.ParenExpr:
		f.uses(user, kind, t.X, own)
	case *ast.Ellipsis:
		f.uses(user, kind, t.Elt, own)
	case *ast.UnaryExpr: // ~T
		f.uses(user, kind, t.X, own)
	case *ast.BinaryExpr: // A | B
		f.uses(user, kind, t.X, own)
		f.uses(user, kind, t.Y, own)
	case *ast.ArrayType:
		f.uses(user, kind, t.Elt, own)
	case *ast.ChanType:
		f.uses(user, kind, t.Value, own)
	case *ast.MapType:
		f.uses(user, kind, t.Key, own)
		f.uses(user, kind, t.Value, own)
	case *ast.IndexExpr:
		f.uses(user, kind, t.X, own)
		f.uses(user, kind, t.Index, own)
	case *ast.IndexListExpr:
		f.uses(user, kind, t.X, own)
		for _, index := range t.Indices {
			f.uses(user, kind, index, own)
		}
	case *ast.FuncType:
		f.usesOf(user, kind, t.Params, own)
		f.usesOf(user, kind, t.Results, own)
	case *ast.StructType:
		f.usesOf(user, kind, t.Fields, own)
	case *ast.InterfaceType:
		f.usesOf(user, kind, t.Methods, own)
	}
}

// names adds the types that an expression inside a function names, but those that
// mean something else there.
func (b *goBody) names(t ast.Expr) {
	if t == nil {
		return
	}
	var own []string
	for i := range b.locals {
		if b.locals[i].typ == goTypeParameter {
			own = append(own, b.locals[i].name)
		}
	}
	b.file.uses(b.user, TypeBody, t, own)
}
