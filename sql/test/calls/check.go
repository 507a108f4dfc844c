package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// place is where a name stands: of a call, or of a declaration, which may have several
// lines.
type place struct {
	path, name string
	line, last int
}

// Classes of calls by what the checker says.
const (
	static  = "static"              // a function or a method of a concrete type
	dynamic = "method of interface" // its declaration in the interface is meant
	convert = "conversion"          // to a named type, which looks like a call
	outside = "declared outside"    // of the tree, or nowhere: no answer is right
	correct = "right"
	wrong   = "wrong"
	missing = "missing"
)

var classes = []string{static, dynamic, convert, outside}

// call is one call in the tree and what it means.
type call struct {
	at    place
	class string
	means place

	answer  place // of the database
	verdict string
}

// judge compares the calls with what the database says, and takes an answer that fits
// for that of its call: several calls of one name may stand in one line.
func judge(calls []call, answers map[place][]place) {
	for i := range calls {
		c := &calls[i]
		fits := func(a place) bool {
			return a.path == c.means.path && a.name == c.means.name && a.line <= c.means.line && c.means.line <= a.last
		}
		if c.class == outside {
			continue
		}
		if n := slices.IndexFunc(answers[c.at], fits); n >= 0 {
			c.answer, c.verdict = answers[c.at][n], correct
			answers[c.at] = slices.Delete(answers[c.at], n, n+1)
		}
	}
	for i := range calls {
		c := &calls[i]
		if c.verdict == correct {
			continue
		}
		c.verdict = missing
		if left := answers[c.at]; len(left) > 0 {
			c.answer, c.verdict, answers[c.at] = left[0], wrong, left[1:]
		}
	}
}

// checker type-checks packages of the library where they lie; what it finds is named
// by path from there, which is that in the copy.
type checker struct {
	fset    *token.FileSet
	library string
	copied  map[string]bool
	calls   []call
}

// check finds every call in the files of the copy that this platform builds.
func check(library, root string) ([]call, error) {
	build.Default.CgoEnabled = false // the importer reads Go alone
	c := &checker{fset: token.NewFileSet(), library: library, copied: map[string]bool{}}
	var directories []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if d.IsDir() {
			directories = append(directories, relative)
		}
		c.copied[filepath.ToSlash(relative)] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the copy: %w", err)
	}
	from := importer.ForCompiler(c.fset, "source", nil)
	for _, dir := range directories {
		pkg, err := build.ImportDir(filepath.Join(library, dir), 0)
		if _, none := err.(*build.NoGoError); none {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list package %s: %w", dir, err)
		}
		var files []*ast.File
		for _, name := range pkg.GoFiles {
			file, err := parser.ParseFile(c.fset, filepath.Join(pkg.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, fmt.Errorf("parse: %w", err)
			}
			files = append(files, file)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
		config := types.Config{Importer: from, Error: func(error) {}} // the rest of a package is still of use
		if _, err := config.Check(filepath.ToSlash(dir), c.fset, files, info); err != nil {
			fmt.Printf("%s does not type-check without cgo and is left out: %v\n", dir, err)
			continue
		}
		for _, file := range files {
			c.file(file, info)
		}
	}
	return c.calls, nil
}

// file adds the calls of a file.
func (c *checker) file(file *ast.File, info *types.Info) {
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := called(e.Fun)
		if name == nil {
			return true // of a value without a name
		}
		at := c.place(name.Pos(), name.Name)
		switch object := info.Uses[name].(type) {
		case *types.Builtin, *types.Var, nil:
			if _, ok := object.(*types.Var); ok {
				c.calls = append(c.calls, call{at: at, class: outside})
			}
		case *types.TypeName:
			c.add(at, convert, object)
		case *types.Func:
			class := static
			object = object.Origin()
			if receiver := object.Signature().Recv(); receiver != nil && types.IsInterface(receiver.Type()) {
				class = dynamic
			}
			c.add(at, class, object)
		}
		return true
	})
}

// add adds a call of what is declared somewhere.
func (c *checker) add(at place, class string, object types.Object) {
	means := c.place(object.Pos(), object.Name())
	if !object.Pos().IsValid() || !c.copied[means.path] {
		class, means = outside, place{}
	}
	c.calls = append(c.calls, call{at: at, class: class, means: means})
}

// called returns the name that a call has before its arguments.
func called(fun ast.Expr) *ast.Ident {
	switch fun := ast.Unparen(fun).(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	case *ast.IndexExpr:
		return called(fun.X)
	case *ast.IndexListExpr:
		return called(fun.X)
	}
	return nil
}

func (c *checker) place(pos token.Pos, name string) place {
	p := c.fset.PositionFor(pos, false)
	path, _ := strings.CutPrefix(filepath.ToSlash(p.Filename), filepath.ToSlash(c.library)+"/")
	return place{path: path, name: name, line: p.Line}
}
