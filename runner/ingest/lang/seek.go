package lang

import (
	"path"
	"strings"
)

// Every text file provides "path:" and its path. The functions below find out
// which such names an import that is written as a path may mean.

// PathProvided is the name under which every text file can be imported.
func PathProvided(file string) string { return "path:" + file }

// Near returns the path that target means when written in file: relative to its
// folder, or to the top of the codebase where it begins with a slash. It is empty
// where the path leads out of the codebase.
func Near(file, target string) string {
	if rooted, ok := strings.CutPrefix(target, "/"); ok {
		target = path.Clean(rooted)
	} else {
		target = path.Join(path.Dir(file), target)
	}
	if target == "." || target == ".." || strings.HasPrefix(target, "../") {
		return ""
	}
	return target
}

// seekPaths returns a Seeks function for modules written as paths: near the file
// first, then below each of the folders, each with each of the endings.
func seekPaths(folders []string, endings ...string) func(Source, string) []string {
	if len(endings) == 0 {
		endings = []string{""}
	}
	return func(src Source, module string) []string {
		if module == "" || strings.Contains(module, "://") {
			return nil
		}
		var names []string
		add := func(base string) {
			for _, ending := range endings {
				if base != "" {
					names = append(names, PathProvided(base+ending))
				}
			}
		}
		add(Near(src.Path, module))
		for _, folder := range folders {
			add(Near("x", path.Join(folder, module)))
		}
		return names
	}
}

// seekDotted is seekPaths for modules whose parts are joined by a separator.
func seekDotted(separator string, folders []string, endings ...string) func(Source, string) []string {
	paths := seekPaths(folders, endings...)
	return func(src Source, module string) []string {
		return paths(src, strings.ReplaceAll(module, separator, "/"))
	}
}

// seekName returns a Seeks function for modules with names of their own.
func seekName(family string) func(Source, string) []string {
	return func(_ Source, module string) []string { return []string{family + ":" + module} }
}

// provideMember provides the file's base name within the module it declares.
func provideMember(family, separator string) func(Source, string) []string {
	return func(src Source, module string) []string {
		base := path.Base(src.Path)
		if dot := strings.IndexByte(base, '.'); dot > 0 {
			base = base[:dot]
		}
		if module != "" {
			base = module + separator + base
		}
		return []string{family + ":" + base}
	}
}

// provideModule provides the module that the file declares.
func provideModule(family string) func(Source, string) []string {
	return func(_ Source, module string) []string {
		if module == "" {
			return nil
		}
		return []string{family + ":" + module}
	}
}
