package lang

import (
	"strings"
	"testing"

	typescript "github.com/tree-sitter/tree-sitter-typescript/bindings/go"
)

// A rule that names what the grammar lacks must not be silently without effect.
func TestRulesNameWhatGrammarsHave(t *testing.T) {
	for _, r := range []*treeRules{pythonRules, javascriptRules(), typescriptRules("TypeScript", typescript.LanguageTypescript), tsxRules(), rustRules, elixirRules} {
		if _, err := r.compile(); err != nil {
			t.Error(err)
		}
	}

	wrong := *pythonRules
	wrong.defines = append([]defineRule{{node: "no_such_node", name: "no_such_field"}}, wrong.defines...)
	_, err := wrong.compile()
	if err == nil || !strings.Contains(err.Error(), "node no_such_node") || !strings.Contains(err.Error(), "field no_such_field") {
		t.Errorf("rules with a wrong node and field: got %v", err)
	}
}
