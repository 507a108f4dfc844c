package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

//go:embed tags.py
var pythonScript string

var scriptClasses = map[string]string{
	"function": "function", "method": "function",
	"class": "type", "interface": "type", "type": "type", "enum": "type",
	"variable": "value", "field": "value", "enumerator": "value", "parameter property": "value",
	"namespace": "module",
}

// pythonTags asks Python's own parser.
func pythonTags(_ *oracle, files []string) (map[string][]tag, error) {
	if _, err := exec.LookPath("python3"); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoOracle, err)
	}
	return scriptTags(exec.Command("python3", "-c", pythonScript), files)
}

// typescriptTags asks the TypeScript compiler's.
func typescriptTags(_ *oracle, files []string) (map[string][]tag, error) {
	return scriptTags(exec.Command("node", "--stack-size=4000", "runner/ingest/lang/accuracy/node/tags.mjs"), files)
}

// installNode downloads what node/package-lock.json pins, once.
var installNode = sync.OnceValue(func() error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("without Node.js: %w", err)
		}
	}
	if _, err := os.Stat(nodeModules + "/typescript/package.json"); err == nil {
		return nil
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = filepath.Dir(nodeModules)
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w: %s", npm.Dir, err, bytes.TrimSpace(out))
	}
	return nil
})

// scriptTags runs a program that reads names of files and writes tags.
func scriptTags(cmd *exec.Cmd, files []string) (map[string][]tag, error) {
	cmd.Stdin = strings.NewReader(strings.Join(files, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", cmd.Path, err, bytes.TrimSpace(stderr.Bytes()))
	}
	tags := map[string][]tag{}
	for line := range bytes.Lines(out) {
		var t struct {
			Path, Name, Kind string
			Line             int
			Invalid          bool
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, fmt.Errorf("read line %q of %s: %w", line, cmd.Path, err)
		}
		class, known := scriptClasses[t.Kind]
		switch {
		case t.Invalid:
			class = invalid
		case !known:
			return nil, fmt.Errorf("%s names a kind %q that has no class", cmd.Path, t.Kind)
		}
		tags[t.Path] = append(tags[t.Path], tag{name: t.Name, class: class, kind: t.Kind, line: t.Line})
	}
	return tags, nil
}
