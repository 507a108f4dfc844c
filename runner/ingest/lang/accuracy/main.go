// Command accuracy says how much of what the extractors find is right, and how much
// of what there is they find.
//
//	go run ./runner/ingest/lang/accuracy [-show n] [-only language] [language=dir ...]
//
// Symbols are compared with those that others find in the same files: go/parser by a
// walk of its own, Python's ast, the TypeScript compiler, and universal-ctags. A
// symbol agrees where path, name, line of the name and class of kind are the same.
// Precision is the share of ours that the oracle has too, recall the share of its
// that we have; neither is corrected where the oracle errs, which README.md lists.
//
// Without arguments it reads the corpora of corpora.go, and names those that this
// machine does not have.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

func main() {
	show := flag.Int("show", 0, "disagreements to print of each language, `n` of each kind")
	only := flag.String("only", "", "`language` to compare; all where empty")
	most := flag.Int("files", 2000, "files to read of each language, the first by path")
	flag.Parse()
	if err := symbols(*show, *most, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

// symbols prints a row for each oracle, and the disagreements below the table.
func symbols(show, most int, only string, args []string) error {
	corpora, err := chosen(args)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "language\toracle\tfiles\trefused\tpartial\tours\ttheirs\tagree\tprecision\trecall\tinner\t")
	var notes, details []string
	for _, o := range oracles {
		if only != "" && !strings.EqualFold(only, o.language) {
			continue
		}
		if len(args) > 0 && !named(corpora, o.language) {
			continue
		}
		by := cmp.Or(o.by, "ctags")
		if by == "tsc" { // it brings the corpus too
			if err := installNode(); err != nil {
				notes = append(notes, fmt.Sprintf("%s is left out: %v", o.language, err))
				continue
			}
		}
		files, missing := o.corpus(corpora)
		notes = append(notes, missing...)
		if len(files) == 0 {
			notes = append(notes, fmt.Sprintf("%s: no files here to ask %s about", o.language, by))
			continue
		}
		r, err := o.compare(files, most)
		if errors.Is(err, errNoOracle) {
			notes = append(notes, fmt.Sprintf("%s is left out: %v", o.language, err))
			continue
		}
		if err != nil {
			return fmt.Errorf("compare %s: %w", o.language, err)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.4f\t%.4f\t%d\t\n", o.language, by, r.files, r.refused, r.partial,
			r.ours, r.theirs, r.agree, share(r.agree, r.ours), share(r.agree, r.theirs), r.inner)
		details = append(details, r.details(o.language, show))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Println(strings.Join(notes, "\n"))
	if show > 0 {
		fmt.Println(strings.Join(details, ""))
	}
	return nil
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
