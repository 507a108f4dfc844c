package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// nodeModules returns the directory of the packages that node/package-lock.json names,
// as an absolute path. They are downloaded once, into node/node_modules. Where that
// cannot be, the error wraps ErrUnavailable.
var nodeModules = sync.OnceValues(func() (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%w: %s is not installed", ErrUnavailable, program)
		}
	}
	dir, err := filepath.Abs("node")
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("%w: run the benchmark in its directory, sql/test/bench", err)
	}
	// What is installed is a copy of the lock file, kept beside it.
	modules := filepath.Join(dir, "node_modules")
	done := filepath.Join(modules, ".bench-lock.json")
	if have, err := os.ReadFile(done); err == nil && bytes.Equal(have, lock) {
		return modules, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
		"--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	npm.Dir = dir
	npm.WaitDelay = 5 * time.Second
	if out, err := npm.CombinedOutput(); bytes.Contains(out, []byte("EUSAGE")) || bytes.Contains(out, []byte("EINTEGRITY")) {
		return "", errors.Join(errors.New("npm ci: node/package-lock.json does not fit"), err, errors.New(string(out)))
	} else if err != nil {
		return "", fmt.Errorf("%w: npm ci: %w\n%s", ErrUnavailable, err, bytes.TrimSpace(out))
	}
	return modules, os.WriteFile(done, lock, 0o600)
})
