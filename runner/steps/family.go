package steps

import (
	"bytes"
	"go/build"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/htdag/htdag/runner/ingest"
)

// exportDefault is a statement of its own; a declaration that is exported as the
// default says so in its signature.
var exportDefault = regexp.MustCompile(`(?m)^export default ([\p{L}_$][\p{L}\p{N}_$]*)\s*;?\s*$`)

// defaultExport returns the name that an ECMAScript module exports as its default.
func defaultExport(text []byte) string {
	if !bytes.Contains(text, []byte("export default ")) {
		return ""
	}
	if m := exportDefault.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// exportName is the name by which importers know a symbol, where that is not its
// own; isDefault is what defaultExport said.
func exportName(s *ingest.Symbol, isDefault string) string {
	if s.Name == "default" || s.ParentKey != "" {
		return ""
	}
	if isDefault != "" && s.Name == isDefault || strings.HasPrefix(s.Signature, "export default ") {
		return "default"
	}
	return ""
}

// Which of several definitions of one name is meant, as code.files.precedence has it.
const (
	precedenceNormal        = 0
	precedenceOtherPlatform = 1
	precedenceTest          = 2
)

// family names the group of languages whose symbols can call each other. It is
// also the prefix of the names that their files provide, where they provide any.
func family(language string) string {
	switch language {
	case "":
		return ""
	case "JavaScript", "JSX", "TypeScript", "TSX", "Vue", "Svelte":
		return "js"
	case "C", "C++", "Objective-C", "Objective-C++":
		return "c"
	case "Java", "Kotlin", "Scala", "Groovy":
		return "jvm"
	case "Python":
		return "py"
	case "Rust":
		return "rs"
	case "Elixir":
		return "ex"
	}
	return strings.ReplaceAll(strings.ToLower(language), " ", "-")
}

// scope is equal for files that see each other's top-level names without an
// import: those of a Go package, or of a declared package or namespace. Empty
// where a file stands alone.
func scope(language, file, module string) string {
	if module == "" {
		return ""
	}
	switch language {
	case "Go":
		return "go:" + path.Dir(file) + "#" + module
	case "Java", "Kotlin", "Scala", "Groovy", "C#", "PHP":
		return family(language) + ":" + module
	}
	return ""
}

// precedence judges a file by its path and, for Go, its build constraints. One
// platform has to be taken for the usual one; it is Linux on amd64.
func precedence(language, file string, text []byte) int16 {
	if isTest(file) {
		return precedenceTest
	}
	if language == "Go" && !builtOnLinux(file, text) {
		return precedenceOtherPlatform
	}
	return precedenceNormal
}

func builtOnLinux(file string, text []byte) bool {
	platform := build.Context{
		GOOS:        "linux",
		GOARCH:      "amd64",
		Compiler:    "gc",
		CgoEnabled:  true,
		ReleaseTags: build.Default.ReleaseTags,
		OpenFile: func(string) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(text)), nil
		},
		JoinPath: path.Join,
	}
	built, err := platform.MatchFile(path.Dir(file), path.Base(file))
	return built || err != nil
}

var testFolders = map[string]bool{
	"test": true, "tests": true, "__tests__": true, "spec": true, "specs": true, "testdata": true, "fixtures": true,
}

// isTest knows test files by the customs of their languages.
func isTest(file string) bool {
	folder, base := path.Split(file)
	for part := range strings.SplitSeq(folder, "/") {
		if testFolders[part] {
			return true
		}
	}
	stem, ext := base, path.Ext(base)
	stem = strings.TrimSuffix(stem, ext)
	lower := strings.ToLower(stem)
	switch {
	case strings.HasSuffix(lower, "_test"), strings.HasSuffix(lower, "_spec"),
		strings.HasSuffix(lower, ".test"), strings.HasSuffix(lower, ".spec"),
		strings.HasPrefix(lower, "test_"), lower == "conftest":
		return true
	}
	switch ext {
	case ".java", ".kt", ".cs", ".scala", ".php", ".swift":
		return strings.HasSuffix(stem, "Test") || strings.HasSuffix(stem, "Tests")
	}
	return false
}
