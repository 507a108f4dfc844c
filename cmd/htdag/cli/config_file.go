package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/pflag"
)

// configName is the settings file that is looked for.
const configName = "htdag.yaml"

// configure gives the flags that were not set by the command line or the environment
// the values of the settings file, if there is one, and checks them all. It returns
// the directories to watch.
func (a *app) configure(flags *pflag.FlagSet, s *settings, dirs []string) ([]string, error) {
	if err := cmp.Or(a.fromFoundFile(flags, s, dirs), s.check()); err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		dirs = s.watchDirectories
	}
	return dirs, nil
}

// fromFoundFile sets flags that nobody has set from the settings file, if there is one.
func (a *app) fromFoundFile(flags *pflag.FlagSet, s *settings, dirs []string) error {
	file, err := s.findFile(dirs)
	if err != nil || file == "" {
		return err
	}
	return a.fromFile(flags, file)
}

// findFile names the settings file: the one that was given, else the one in the working
// directory, else the one in the directories to watch.
func (s *settings) findFile(dirs []string) (string, error) {
	if s.config != "" {
		return s.config, nil
	}
	if len(dirs) == 0 {
		dirs = s.watchDirectories
	}
	var found []string
	for _, dir := range append([]string{""}, dirs...) {
		name := filepath.Join(dir, configName)
		if len(found) > 0 && sameFile(found[0], name) {
			continue
		}
		switch _, err := os.Stat(name); {
		case err == nil && dir == "":
			return name, nil
		case err == nil:
			found = append(found, name)
		case dir == "" && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", usagef("both %s and %s are there; say with --config which of them holds the settings of this process", found[0], found[1])
}

func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// fromFile sets flags that nobody has set from a file.
func (a *app) fromFile(flags *pflag.FlagSet, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return usagef("%s:%s", name, yamlError(err))
	}
	r := fileReader{name: name, flags: flags, sources: a.sources, seen: map[string]bool{}}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if err := r.section("", doc.Body); err != nil {
			return err
		}
	}
	return nil
}

// fileReader takes a file's values to the flags.
type fileReader struct {
	name    string
	flags   *pflag.FlagSet
	sources map[string]source
	seen    map[string]bool
}

// section reads the keys of the document, or of a section in it.
func (r *fileReader) section(section string, node ast.Node) error {
	line := node.GetToken().Position.Line
	if node.Type() == ast.NullType {
		return nil
	}
	mapping, ok := plain(node).(*ast.MappingNode)
	if !ok {
		what := "the file"
		if section != "" {
			what = section
		}
		return r.wrong(line, "%s is %s; it must hold settings, each as KEY: VALUE: %s", what, shown(node), keysOf(section))
	}
	for _, v := range mapping.Values {
		key, line := v.Key.String(), v.Key.GetToken().Position.Line
		full := key
		if section != "" {
			full = section + "." + key
		}
		i := slices.IndexFunc(documented, func(s setting) bool { return s.key == full })
		switch {
		case i >= 0 && r.seen[full]:
			return r.wrong(line, "%s is given twice", full)
		case i >= 0:
			r.seen[full] = true
			if err := r.value(documented[i], v.Value, line); err != nil {
				return err
			}
		case section == "" && isSection(key):
			if err := r.section(key, v.Value); err != nil {
				return err
			}
		default:
			return r.wrong(line, "%s: %s is no setting; those there are: %s", full, shown(v.Value), keysOf(section))
		}
	}
	return nil
}

func (r *fileReader) wrong(line int, format string, args ...any) error {
	return usagef("%s:%d: %s", r.name, line, fmt.Sprintf(format, args...))
}

// value sets the flag of a setting, unless it is set already.
func (r *fileReader) value(s setting, node ast.Node, line int) error {
	flag := r.flags.Lookup(s.flag())
	if flag == nil {
		return nil // nothing that this verb goes by
	}
	node = plain(node)
	target := flag.Value
	if flag.Changed {
		target = scratch(target.Type()) // it has its value, but nonsense is nonsense
	}
	var err error
	switch kind := target.Type(); kind {
	case "stringSlice":
		sequence, ok := node.(*ast.SequenceNode)
		if !ok {
			return r.wrong(line, "%s is %s; it must be a list, such as [a, b]", s.key, shown(node))
		}
		list := []string{}
		for _, n := range sequence.Values {
			text, ok := scalar(n)
			if !ok {
				return r.wrong(n.GetToken().Position.Line, "%s has %s; it must be a list of texts", s.key, shown(n))
			}
			list = append(list, text)
		}
		if s.key == "watch_directories" {
			list = below(filepath.Dir(r.name), list)
		}
		err = target.(pflag.SliceValue).Replace(list)
	default:
		text, ok := scalar(node)
		if ok {
			err = target.Set(text)
		}
		if !ok || err != nil || kind != "string" && node.Type() == ast.StringType {
			return r.wrong(line, "%s is %s; it must be %s", s.key, shown(node), kinds[kind])
		}
	}
	if err != nil {
		return r.wrong(line, "%s: %s", s.key, err)
	}
	if !flag.Changed {
		flag.Changed = true
		r.sources[flag.Name] = source{kind: "file", name: fmt.Sprintf("%s:%d", r.name, line), said: fmt.Sprintf("%s:%d: %s", r.name, line, s.key)}
	}
	return nil
}

// kinds say what a flag of a type can be.
var kinds = map[string]string{"bool": "true or false", "int": "a whole number", "float64": "a number", "string": "a text"}

// scratch is a value of some type of flag, which sets nothing.
func scratch(kind string) pflag.Value {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	switch kind {
	case "bool":
		flags.Bool("x", false, "")
	case "int":
		flags.Int("x", 0, "")
	case "float64":
		flags.Float64("x", 0, "")
	case "stringSlice":
		flags.StringSlice("x", nil, "")
	default:
		flags.String("x", "", "")
	}
	return flags.Lookup("x").Value
}

// scalar is the text of a value that is one; what is empty is none.
func scalar(node ast.Node) (string, bool) {
	node = plain(node)
	switch node.Type() {
	case ast.StringType, ast.LiteralType, ast.BoolType, ast.IntegerType, ast.FloatType:
		return fmt.Sprint(node.(ast.ScalarNode).GetValue()), true
	}
	return "", false
}

// shown is a value as it is written, on one line.
func shown(node ast.Node) string {
	if node.Type() == ast.NullType {
		return "empty"
	}
	text := strings.Join(strings.Fields(node.String()), " ")
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return text
}

func isSection(key string) bool {
	return slices.ContainsFunc(documented, func(s setting) bool { section, _ := s.parts(); return section == key && key != "" })
}

// keysOf lists the settings of a section, and the sections.
func keysOf(section string) string {
	var keys []string
	for _, s := range documented {
		in, name := s.parts()
		switch {
		case in == section:
			keys = append(keys, name)
		case section == "" && !slices.Contains(keys, in):
			keys = append(keys, in)
		}
	}
	return strings.Join(keys, ", ")
}
