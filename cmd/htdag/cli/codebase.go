package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

// nameRoots names the codebases of roots that have no name yet.
func nameRoots(ctx context.Context, queries *dbsqlc.Queries, s settings, roots []watcher.Root) error {
	for i := range roots {
		name, err := nameOf(ctx, queries, s, roots[i], roots[:i])
		if err != nil {
			return err
		}
		if j := slices.IndexFunc(roots[:i], func(r watcher.Root) bool { return r.Name == name }); j >= 0 {
			return usagef("%s and %s have the same name, %s; start them one at a time, with --codebase NAME", roots[j].Path, roots[i].Path, name)
		}
		roots[i].Name = name
	}
	return nil
}

// nameOf says which codebase a root is: the one that was given; else, where names are
// detected, the one that it is already, then the name of its git remote unless another
// root has it, then the default name, then that of the directory.
func nameOf(ctx context.Context, queries *dbsqlc.Queries, s settings, r watcher.Root, others []watcher.Root) (string, error) {
	root := r.Path
	switch {
	case s.codebase != "":
		return s.codebase, nil
	case !s.autoDetectCodebase && s.defaultCodebaseID == "":
		return "", usagef("names of codebases are not detected (auto_detect_codebase is false): name %s with --codebase or default_codebase_id", root)
	case !s.autoDetectCodebase:
		return s.defaultCodebaseID, nil
	}
	known, err := queries.CodebasesAt(ctx, root, r.Ref)
	if err != nil {
		return "", fmt.Errorf("look up the codebase of %s: %w", root, db.Error(err))
	}
	if len(known) > 0 {
		return known[0], nil
	}
	if name := remoteName(ctx, root); name != "" && r.Ref == "" && !slices.ContainsFunc(others, func(r watcher.Root) bool { return r.Name == name }) {
		_, err := queries.Codebase(ctx, name)
		if errors.Is(err, pgx.ErrNoRows) {
			return name, nil
		} else if err != nil {
			return "", fmt.Errorf("look up codebase %s: %w", name, db.Error(err))
		}
	}
	if s.defaultCodebaseID != "" {
		return s.defaultCodebaseID, nil
	}
	if r.Ref != "" {
		return strings.TrimSuffix(filepath.Base(strings.TrimSuffix(root, "/.git")), ".git"), nil
	}
	return filepath.Base(root), nil
}

// remoteName is the last part of the address of the remote "origin" of a git repository
// whose top is the root. A linked work tree has none: it is not the repository, of which
// there may be many.
func remoteName(ctx context.Context, root string) string {
	config := filepath.Join(root, ".git", "config")
	if fi, err := os.Stat(config); err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	out, err := exec.CommandContext(ctx, "git", "config", "--file", config, "--get", "remote.origin.url").Output()
	if err != nil {
		return "" // there is no remote, or no git
	}
	address := strings.TrimRight(strings.TrimSpace(string(out)), "/")
	address = address[strings.LastIndexAny(address, `:\`)+1:]
	name := strings.TrimSpace(strings.TrimSuffix(path.Base(address), ".git"))
	if name == "." || name == "/" || !utf8.ValidString(name) {
		return ""
	}
	return name
}
