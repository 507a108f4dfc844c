// Command calls says how many of Go's calls the database resolves, and how many of its
// answers are right, by asking go/types.
//
//	go run ./sql/test/calls -htdag bin/htdag [-show n] [package ...]
//
// It copies packages of the installed Go's library, all their files, into a tree of
// their own, has them ingested into a PostgreSQL of its own, and type-checks those
// files that this platform builds. A call is the place of its name; the truth is the
// declaration that the checker finds for it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/localpg"
)

// packages are libraries of different styles: parsers, formats, protocols, containers.
var packages = []string{
	"archive", "bufio", "bytes", "compress", "container", "context", "encoding", "errors", "fmt", "go", "html", "io", "log", "mime", "net",
	"path", "regexp", "sort", "strconv", "strings", "sync", "text", "time", "unicode",
}

func main() {
	program := flag.String("htdag", "bin/htdag", "`file` of the program that ingests")
	show := flag.Int("show", 0, "wrong and missing answers to print, `n` of each class")
	flag.Parse()
	if err := run(context.Background(), *program, *show, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "calls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, show int, args []string) error {
	if len(args) == 0 {
		args = packages
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("ask go for its library: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	root, err := os.MkdirTemp("", "htdag-calls-")
	if err != nil {
		return fmt.Errorf("make a tree: %w", err)
	}
	defer os.RemoveAll(root)
	if err := copyPackages(library, root, args); err != nil {
		return err
	}
	answers, err := ingested(ctx, program, root)
	if err != nil {
		return err
	}
	truth, err := check(library, root)
	if err != nil {
		return err
	}
	return report(truth, answers, show)
}

// copyPackages copies directories of Go's library with its go.mod, so that their
// import paths mean the copy.
func copyPackages(library, root string, packages []string) error {
	module, err := os.ReadFile(filepath.Join(library, "go.mod"))
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "go.mod"), module, 0o644)
	}
	if err != nil {
		return fmt.Errorf("copy go.mod: %w", err)
	}
	for _, name := range packages {
		err := filepath.WalkDir(filepath.Join(library, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "testdata" {
				if err == nil {
					err = fs.SkipDir
				}
				return err
			}
			relative, err := filepath.Rel(library, path)
			if err != nil {
				return err
			}
			target := filepath.Join(root, relative)
			if d.IsDir() {
				return os.MkdirAll(target, 0o755)
			}
			if filepath.Ext(path) != ".go" {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, text, 0o644)
		})
		if err != nil {
			return fmt.Errorf("copy package %s: %w", name, err)
		}
	}
	return nil
}

// ingested has a tree ingested and returns what the database says of its calls: for
// each place of a name, the places of the declarations that it takes to be called.
func ingested(ctx context.Context, program, root string) (map[place][]place, error) {
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("start a PostgreSQL server: %w", err)
	}
	defer server.Close()
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	up := exec.CommandContext(ctx, program, "up", "--once", "--codebase", "calls", "--database-url", server.URL("postgres"), root)
	if out, err := up.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", up, err, out)
	}
	rows, err := conn.Query(ctx, `
		select f.path, c.line, c.name, t.path, s.name, s.start_line, s.end_line
		  from code.calls c
		  join code.files f on f.file_id = c.file_id
		  join code.symbols s on s.symbol_id = c.callee_id
		  join code.files t on t.file_id = s.file_id
		 order by c.file_id, c.ordinal`)
	if err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	answers := map[place][]place{}
	var from, to place
	_, err = pgx.ForEachRow(rows, []any{&from.path, &from.line, &from.name, &to.path, &to.name, &to.line, &to.last}, func() error {
		answers[from] = append(answers[from], to)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	return answers, nil
}

// report prints a row for each class of calls.
func report(truth []call, answers map[place][]place, show int) error {
	judge(truth, answers)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "Go calls\tcalls\tanswered\tright\tprecision\trecall\t")
	var answered, right int
	for _, c := range truth {
		if c.verdict != missing {
			answered++
		}
		if c.verdict == correct {
			right++
		}
	}
	shown := map[string]int{}
	var details strings.Builder
	for _, class := range classes {
		var calls, answered, right int
		for _, c := range truth {
			if c.class != class {
				continue
			}
			calls++
			switch c.verdict {
			case correct:
				answered++
				right++
				continue
			case wrong:
				answered++
			}
			key := class + c.verdict
			if shown[key]++; shown[key] <= show {
				fmt.Fprintf(&details, "%s, %s: %s:%d %s means %s:%d, not %s:%d\n", class, c.verdict, c.at.path, c.at.line, c.at.name,
					c.means.path, c.means.line, c.answer.path, c.answer.line)
			}
		}
		if class == outside {
			fmt.Fprintf(table, "%s\t%d\t%d\t\t\t\t\n", class, calls, answered)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.4f\t%.4f\t\n", class, calls, answered, right, share(right, answered), share(right, calls))
	}
	fmt.Fprintf(table, "all answers\t\t%d\t%d\t%.4f\t\t\n", answered, right, share(right, answered))
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Print(details.String())
	return nil
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
