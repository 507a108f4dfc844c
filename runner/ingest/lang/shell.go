package lang

import (
	"regexp"
	"strings"

	bash "github.com/tree-sitter/tree-sitter-bash/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "Shell",
	Aliases:      []string{"sh", "bash", "zsh", "shell-script"},
	Extensions:   []string{".sh", ".bash", ".zsh", ".ksh", ".bats", ".ebuild"},
	Filenames:    []string{".bashrc", ".bash_profile", ".bash_aliases", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile", ".envrc", "PKGBUILD", "gradlew"},
	Interpreters: []string{"sh", "bash", "zsh", "dash", "ksh", "ash", "rc", "bats"},
	Extract:      shellRules.extractor(),
})

var shellRules = &treeRules{
	language: "Shell",
	grammar:  bash.Language,

	defines: []defineRule{
		{node: "function_definition", kind: KindFunction, name: "name", body: "body", callable: true, scope: true, refine: shellName},
		{node: "variable_assignment", kind: KindVariable, name: "name", data: true, refine: shellVariable},
	},
	calls: []callRule{{node: "command", callee: "name", ignore: strings.Fields(
		"echo printf cd test [ : exit return set export local shift eval read true false trap source . unset exec command declare readonly let wait umask")}},

	names:  []string{"word", "variable_name"},
	unwrap: map[string]string{"command_name": ""},

	decisions: map[string]int{
		"if_statement": 1, "elif_clause": 1, "while_statement": 1, "for_statement": 1, "c_style_for_statement": 1, "list": 1,
	},
	operators: []string{"&&", "||"},

	comments: []string{"comment"},
	wrappers: []string{"declaration_command"},
	isDoc:    func(comment []byte) bool { return !strings.HasPrefix(string(comment), "#!") },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{
		"command":   shellSource,
		"case_item": shellCase,
	},
}

func shellName(w *treeWalk, node int, s *Symbol) bool {
	s.Name = w.nodeText(w.child(node, "name"))
	return true
}

// shellVariable leaves out what is set for one command only: A=b command.
func shellVariable(w *treeWalk, node int, _ *Symbol) bool {
	return !w.is(w.tree.Parent(node), "command") && w.is(w.child(node, "name"), "variable_name")
}

// shellCase counts an arm of a case but the one for all the rest.
func shellCase(w *treeWalk, node int) bool {
	if w.nodeText(w.child(node, "value")) != "*" {
		w.decide(1)
	}
	return true
}

// shellPrefix is what stands for the script's own folder: $(dirname "$0")/, $DIR/.
var shellPrefix = regexp.MustCompile(`^(?:\$\([^)\n]*\)/|\$\{?\w+(?:[^}/\n]*\})?/)`)

// shellSource reads "source lib.sh" and ". lib.sh".
func shellSource(w *treeWalk, node int) bool {
	if name := w.nodeText(w.child(node, "name")); name != "source" && name != "." {
		return true
	}
	argument := w.child(node, "argument")
	if argument == treesitter.None {
		return true
	}
	module := strings.NewReplacer(`"`, "", `'`, "").Replace(w.nodeText(argument))
	module = shellPrefix.ReplaceAllString(module, "")
	if module != "" && !strings.ContainsAny(module, "$` \n") {
		w.Import(int(w.tree.Nodes[node].Start), Import{Module: module, Names: []string{"*"}, Seeks: seekPaths([]string{""})(Source{Path: w.path}, module)})
	}
	return true
}
