package steps

import "github.com/htdag/htdag/runner/ingest"

// typeLink is what one file tells about a type that one of its definitions names:
// calleeKey is the type's, where the file defines it.
type typeLink struct {
	link
	userKey, kind string
	line          int
}

// linkTypes says for each type that an extraction names where it is to be found.
// Those that a language predeclares are left out. Like linkCalls, it is a pure
// function: whoever changes what it returns raises ingest.ExtractorVersion.
func linkTypes(ex *ingest.Extraction) []typeLink {
	if len(ex.Types) == 0 {
		return nil
	}
	l := newLinker(ex)
	l.keys = make(map[string]string, len(ex.Symbols))
	for i := range ex.Symbols {
		s := &ex.Symbols[i]
		if _, taken := l.keys[s.QualifiedName]; !taken && isType(s.Kind) && s.Kind != ingest.KindModule {
			l.keys[s.QualifiedName] = s.Key
		}
	}
	links := make([]typeLink, 0, len(ex.Types))
	for i := range ex.Types {
		t := &ex.Types[i]
		if found := l.linkType(t); found.reach != reachNone {
			links = append(links, typeLink{found, t.UserKey, t.Kind, t.Line})
		}
	}
	return links
}

// linkType resolves a type's name by the language's scoping: outward from its user,
// then the top of the file, then what was imported by name, then the package.
func (l *linker) linkType(t *ingest.TypeRef) link {
	var user string
	if s := l.symbols[t.UserKey]; s != nil {
		user = s.QualifiedName
	}
	name := normal(t.Name)
	for q := user; ; q = parent(q) {
		inside := name
		if q != "" {
			inside = q + "." + name
		}
		if key, ok := l.keys[inside]; ok {
			return link{reach: reachFile, name: lastPart(name), target: inside, calleeKey: key, confidence: confidentSameFile, importAt: -1}
		}
		if q == "" {
			break
		}
	}
	if from, ok := l.locals[name]; ok {
		if from.original == "" {
			return link{reach: reachImport, name: name, target: name, importAt: from.importAt}
		}
		return link{reach: reachImport, name: lastPart(from.original), target: from.original, importAt: from.importAt}
	}
	for q := parent(name); q != ""; q = parent(q) {
		if from, ok := l.locals[q]; ok {
			rest := name[len(q)+1:]
			return through(reachImport, from, lastPart(rest), parent(rest))
		}
	}
	if builtin(l.language, name) {
		return elsewhere(reachNone, name, name)
	}
	return elsewhere(reachPackage, lastPart(name), name)
}
