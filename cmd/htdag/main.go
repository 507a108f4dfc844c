// Command htdag keeps codebases in PostgreSQL.
package main

import (
	"os"

	"github.com/htdag/htdag/cmd/htdag/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
