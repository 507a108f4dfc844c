package lang

import (
	"context"
	"errors"
	"path"
	"strings"

	"golang.org/x/mod/modfile"
)

var _ = register(Language{
	Name:      "Go Module",
	Aliases:   []string{"gomod"},
	Filenames: []string{"go.mod"},
	Extract:   extractGoMod,
})

// extractGoMod reads a go.mod: the module's path becomes a root, and so does
// what a replace directive points to inside the codebase; what it requires is
// imported.
func extractGoMod(_ context.Context, src Source) (Extraction, error) {
	b := NewBuilder(src, "decoder")
	dir := path.Dir(src.Path)
	if dir == "." {
		dir = ""
	}
	file, err := modfile.Parse(path.Base(src.Path), src.Text, nil)
	if err != nil {
		// Of what a later Go may have written, the module's own line and what it requires
		// still count.
		b.Errors(1)
		var list modfile.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			err = &list[0]
		}
		b.Partial(err.Error())
		if module := modfile.ModulePath(src.Text); module != "" {
			b.Module(module, "")
			b.Root("go:"+module, dir)
		}
		if lax, err := modfile.ParseLax(path.Base(src.Path), src.Text, nil); err == nil {
			goRequirements(b, lax)
		}
		return b.Extraction(), nil
	}
	if file.Module != nil {
		module := file.Module.Mod.Path
		at := file.Module.Syntax
		b.Module(module, "")
		b.Root("go:"+module, dir)
		b.Symbol(None, Symbol{
			Kind: KindModule, Name: module, Exported: true, Signature: "module " + module,
			StartByte: at.Start.Byte, EndByte: at.End.Byte,
		})
	}
	goRequirements(b, file)
	for _, r := range file.Require {
		b.Import(r.Syntax.Start.Byte, Import{Module: r.Mod.Path, Seeks: []string{"go:" + r.Mod.Path}})
	}
	for _, r := range file.Replace {
		if r.New.Version != "" || path.IsAbs(r.New.Path) {
			continue
		}
		if local := path.Join(dir, r.New.Path); local != ".." && !strings.HasPrefix(local, "../") {
			b.Root("go:"+r.Old.Path, strings.TrimPrefix(local, "."))
		}
	}
	return b.Extraction(), nil
}

// goRequirements adds what a go.mod requires.
func goRequirements(b *Builder, file *modfile.File) {
	for _, r := range file.Require {
		kind := NeedRuntime
		if r.Indirect {
			kind = NeedIndirect
		}
		b.Require(r.Syntax.Start.Byte, Requirement{Ecosystem: "go", Name: r.Mod.Path, Version: r.Mod.Version, Kind: kind})
	}
}
