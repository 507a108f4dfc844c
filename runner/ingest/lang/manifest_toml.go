package lang

import (
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlValue is a value of a manifest with where its key or, in an array, it stands.
type tomlValue struct {
	names []string // dotted path, tables included
	text  string   // of a string
	at    int
}

// tomlRequirements reads the packages that a Cargo.toml or pyproject.toml declares.
func (f *dataFile) tomlRequirements(text []byte) {
	switch path.Base(f.src.Path) {
	case "Cargo.toml":
		f.cargo(tomlValues(text))
	case "pyproject.toml":
		f.pyproject(tomlValues(text))
	}
}

// tomlValues lists the values of a document that are no tables, in order, as far as
// it can be parsed. Elements of arrays come under the array's names; a table of an
// array of tables is one like any other.
func tomlValues(text []byte) (values []tomlValue) {
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		expression := p.Expression()
		names, at := tomlKey(expression)
		if expression.Kind != unstable.KeyValue {
			table = names
			// A header alone declares a package too: [dependencies.log].
			values = append(values, tomlValue{names: table, at: at})
			continue
		}
		values = append(values, tomlNested(append(slices.Clip(table), names...), at, expression.Value(), 0)...)
	}
	return values
}

// tomlKey returns the parts of a key or header and where it begins.
func tomlKey(expression *unstable.Node) (names []string, at int) {
	at = -1
	for key := expression.Key(); key.Next(); {
		if at < 0 {
			at = int(key.Node().Raw.Offset)
		}
		names = append(names, string(key.Node().Data))
	}
	return names, max(at, 0)
}

// tomlNested lists a value and what is in it.
func tomlNested(names []string, at int, value *unstable.Node, depth int) []tomlValue {
	if depth > 16 {
		return nil
	}
	switch value.Kind {
	case unstable.String:
		return []tomlValue{{names: names, text: string(value.Data), at: at}}
	case unstable.InlineTable:
		values := []tomlValue{{names: names, at: at}}
		for children := value.Children(); children.Next(); {
			child := children.Node()
			inner, innerAt := tomlKey(child)
			values = append(values, tomlNested(append(slices.Clip(names), inner...), innerAt, child.Value(), depth+1)...)
		}
		return values
	case unstable.Array:
		var values []tomlValue
		for children := value.Children(); children.Next(); {
			child := children.Node()
			if child.Raw.Length > 0 {
				at = int(child.Raw.Offset)
			}
			values = append(values, tomlNested(names, at, child, depth+1)...)
		}
		return values
	case unstable.Bool:
		return []tomlValue{{names: names, text: string(value.Data), at: at}}
	}
	return []tomlValue{{names: names, at: at}}
}

var cargoKinds = map[string]string{"dependencies": NeedRuntime, "dev-dependencies": NeedDev, "build-dependencies": NeedBuild,
	"dev_dependencies": NeedDev, "build_dependencies": NeedBuild}

// cargo reads dependencies = {name = "1", name = {version, optional, package, git}},
// of the package, of its targets and of the workspace.
func (f *dataFile) cargo(values []tomlValue) {
	packages := map[string]*Requirement{} // by where they are declared
	var order []string
	at := map[string]int{}
	for _, v := range values {
		i := slices.IndexFunc(v.names, func(n string) bool { return cargoKinds[n] != "" })
		within := i == 0 || i == 1 && v.names[0] == "workspace" || i == 2 && v.names[0] == "target"
		if !within || len(v.names) < i+2 {
			continue
		}
		place := strings.Join(v.names[:i+2], "\x00")
		r := packages[place]
		if r == nil {
			r = &Requirement{Ecosystem: "cargo", Name: v.names[i+1], Kind: cargoKinds[v.names[i]]}
			packages[place], at[place] = r, v.at
			order = append(order, place)
		}
		switch {
		case len(v.names) == i+2:
			r.Version = v.text
		case len(v.names) > i+3:
		case v.names[i+2] == "version":
			r.Version = v.text
		case v.names[i+2] == "package":
			r.Name = v.text
		case (v.names[i+2] == "git" || v.names[i+2] == "path") && r.Version == "":
			r.Version = v.names[i+2] + ":" + v.text
		case v.names[i+2] == "optional" && v.text == "true":
			r.Kind = NeedOptional
		}
	}
	for _, place := range order {
		f.Require(at[place], *packages[place])
	}
}

// pyproject reads what the package needs, what its extras and groups do, and what
// builds it; of Poetry's tables too.
func (f *dataFile) pyproject(values []tomlValue) {
	for _, v := range values {
		names := strings.Join(v.names, "\x00")
		kind := ""
		switch {
		case names == "project\x00dependencies":
			kind = NeedRuntime
		case names == "build-system\x00requires":
			kind = NeedBuild
		case len(v.names) == 3 && strings.HasPrefix(names, "project\x00optional-dependencies\x00"):
			kind = NeedOptional
		case len(v.names) == 2 && v.names[0] == "dependency-groups":
			kind = NeedDev
		}
		if kind != "" && v.text != "" {
			name, version := pythonRequirement(v.text)
			f.Require(v.at, Requirement{Ecosystem: "pypi", Name: name, Version: version, Kind: kind})
		}
	}
	f.poetry(values)
}

// poetry reads tool.poetry.dependencies = {name = "^1", name = {version, git, path}}.
func (f *dataFile) poetry(values []tomlValue) {
	var last []string
	var r Requirement
	at := 0
	flush := func() {
		if r.Name != "" && r.Name != "python" {
			f.Require(at, r)
		}
		r = Requirement{}
	}
	for _, v := range values {
		kind, depth := NeedRuntime, 3
		switch names := v.names; {
		case len(names) < 4 || names[0] != "tool" || names[1] != "poetry":
			continue
		case names[2] == "dependencies":
		case names[2] == "dev-dependencies":
			kind = NeedDev
		case len(names) > 5 && names[2] == "group" && names[4] == "dependencies":
			kind, depth = NeedDev, 5
		default:
			continue
		}
		if place := v.names[:depth+1]; !slices.Equal(place, last) {
			flush()
			last, at = place, v.at
			r = Requirement{Ecosystem: "pypi", Name: place[depth], Kind: kind}
		}
		switch rest := v.names[depth+1:]; {
		case len(rest) == 0 && v.text != "", len(rest) == 1 && rest[0] == "version":
			r.Version = v.text
		case len(rest) == 1 && (rest[0] == "git" || rest[0] == "path" || rest[0] == "url") && r.Version == "":
			r.Version = rest[0] + ":" + v.text
		case len(rest) == 1 && rest[0] == "optional" && v.text == "true" && kind == NeedRuntime:
			r.Kind = NeedOptional
		}
	}
	flush()
}
