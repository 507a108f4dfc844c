// Command accuracy compares the symbols that the extractors find with those that
// universal-ctags finds in the same files.
//
//	go run ./runner/ingest/lang/accuracy [-show n] [language=dir ...]
//
// Without arguments it reads the corpora of corpora.go, and names those that this
// machine does not have. A symbol agrees where path, name, line of the name and
// class of kind are the same. Precision is the share of ours that ctags has too,
// recall the share of its that we have; neither is corrected where ctags errs.
// What stands inside the body of a function is counted apart, as "inner": ctags
// does not look there in most languages.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
)

func main() {
	show := flag.Int("show", 0, "disagreements to print of each language, `n` of each kind")
	only := flag.String("only", "", "`language` to compare; all where empty")
	most := flag.Int("files", 2000, "files to read of each language, the first by path")
	flag.Parse()
	if err := run(*show, *most, *only, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(show, most int, only string, args []string) error {
	if _, err := exec.LookPath("ctags"); err != nil {
		return fmt.Errorf("no ctags: install universal-ctags (%w)", err)
	}
	corpora := defaultCorpora
	if len(args) > 0 {
		corpora = nil
		for _, arg := range args {
			language, dir, ok := strings.Cut(arg, "=")
			if !ok {
				return fmt.Errorf("argument %q: write it language=directory", arg)
			}
			corpora = append(corpora, corpus{language, dir})
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "language\tfiles\tpartial\tours\tctags\tagree\tprecision\trecall\tinner\t")
	var details []string
	for _, o := range oracles {
		if only != "" && !strings.EqualFold(only, o.language) {
			continue
		}
		var files []string
		for _, c := range corpora {
			if !strings.EqualFold(c.language, o.language) {
				continue
			}
			found, err := o.files(c.dir)
			if err != nil {
				fmt.Printf("%s: %s is skipped: %v\n", o.language, c.dir, err)
				continue
			}
			files = append(files, found...)
		}
		if len(files) == 0 {
			continue
		}
		r, err := o.compare(files, most)
		if err != nil {
			return fmt.Errorf("compare %s: %w", o.language, err)
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%.4f\t%.4f\t%d\t\n", o.language, r.files, r.partial, r.ours, r.theirs, r.agree,
			share(r.agree, r.ours), share(r.agree, r.theirs), r.inner)
		details = append(details, r.details(o.language, show))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	fmt.Println(strings.Join(details, ""))
	return nil
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}
