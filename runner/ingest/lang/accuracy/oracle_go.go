package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
)

// goTags declares what go/parser's trees declare, by a walk of its own: every
// function, type, constant and variable outside functions, and the members of
// struct and interface types.
func goTags(_ *oracle, files []string) (map[string][]tag, error) {
	tags := map[string][]tag{}
	for _, path := range files {
		fset := token.NewFileSet()
		tree, _ := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution|parser.AllErrors)
		if tree == nil {
			return nil, fmt.Errorf("go/parser makes nothing of %s", path)
		}
		add := func(name *ast.Ident, class, kind string) {
			if name.Name != "_" {
				tags[path] = append(tags[path], tag{name: name.Name, class: class, kind: kind, line: fset.PositionFor(name.Pos(), false).Line})
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				add(n.Name, "function", "func")
				return false
			case *ast.TypeSpec:
				add(n.Name, "type", "type")
				goMembers(n.Type, add)
				return false
			case *ast.GenDecl:
				return n.Tok != token.IMPORT
			case *ast.ValueSpec:
				for _, name := range n.Names {
					add(name, "value", "value")
				}
				return false
			}
			return true
		})
	}
	return tags, nil
}

// goMembers declares the members of a type that is written out, and theirs.
func goMembers(t ast.Expr, add func(name *ast.Ident, class, kind string)) {
	var members *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		members = t.Fields
	case *ast.InterfaceType:
		members = t.Methods
	default:
		return
	}
	for _, field := range members.List {
		for _, name := range field.Names {
			class := "value"
			if _, is := t.(*ast.InterfaceType); is {
				class = "function"
			}
			add(name, class, "member")
		}
		if len(field.Names) == 0 {
			if name := embedded(field.Type); name != nil {
				add(name, "value", "embedded")
			}
		}
		if _, nested := field.Type.(*ast.StructType); nested && len(field.Names) == 1 {
			goMembers(field.Type, add)
		}
	}
}

// embedded returns the name by which an embedded type is a member; nil for a union.
func embedded(t ast.Expr) *ast.Ident {
	switch t := t.(type) {
	case *ast.Ident:
		return t
	case *ast.SelectorExpr:
		return t.Sel
	case *ast.StarExpr:
		return embedded(t.X)
	case *ast.IndexExpr:
		return embedded(t.X)
	case *ast.IndexListExpr:
		return embedded(t.X)
	case *ast.ParenExpr:
		return embedded(t.X)
	}
	return nil
}
