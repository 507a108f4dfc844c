// Command bench measures engines side by side; README.md tells how.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	plan            plan
	url, dir, sync  string
	shapes, engines string
	json            string
	quick, strict   bool
}

func parse(args []string, stderr io.Writer) (c config, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.url, "url", "", "measure on the server at this `URL`, as a superuser; a temporary one is started when empty")
	f.StringVar(&c.dir, "dir", "", "where the temporary server keeps its data; the system's directory when empty")
	f.StringVar(&c.sync, "sync", "on", "synchronous_commit: on, off or both, one after the other")
	f.StringVar(&c.shapes, "shapes", "", "workloads, separated by commas; all when empty")
	f.StringVar(&c.engines, "engines", "", "engines, separated by commas, each by its name or the beginning of it; all when empty")
	f.IntVar(&c.plan.Rounds, "rounds", 5, "timed rounds")
	f.Float64Var(&c.plan.Seconds, "seconds", 3, "how long a round should last")
	f.IntVar(&c.plan.Runs, "steps", 0, "steps in a round, whatever time that takes")
	f.BoolVar(&c.plan.Count, "count", true, "count statements, in a further round that is not timed")
	f.IntVar(&c.plan.Workers, "workers", 4, "workers of each engine")
	f.BoolVar(&c.quick, "quick", false, "one tiny round that is neither durable nor counted: to see that everything works, not how fast")
	f.StringVar(&c.json, "json", "", "write all measurements to this `file`")
	f.BoolVar(&c.strict, "strict", false, "fail when an engine cannot be had")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if c.quick {
		c.plan.Rounds, c.plan.Runs, c.plan.Count, c.sync = 1, 200, false, "off"
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("%q is not a flag", f.Arg(0))
	}
	if !slices.Contains([]string{"on", "off", "both"}, c.sync) {
		return c, fmt.Errorf("-sync is %q: give on, off or both", c.sync)
	}
	if c.plan.Rounds < 1 || c.plan.Workers < 1 || c.plan.Seconds <= 0 || c.plan.Runs < 0 {
		return c, errors.New("-rounds, -workers and -seconds have to be more than nothing")
	}
	return c, nil
}

// chosen returns the workloads that were asked for.
func (c config) chosenShapes() ([]Shape, error) {
	if c.shapes == "" {
		return Shapes, nil
	}
	var list []Shape
	for _, name := range strings.Split(c.shapes, ",") {
		if !slices.Contains(Shapes, Shape(name)) {
			return nil, fmt.Errorf("%q is no workload: there are %v", name, Shapes)
		}
		list = append(list, Shape(name))
	}
	return list, nil
}

// competitors returns what makes the engines that were asked for and can do a shape.
func (c config) competitors(shape Shape) (makers []func() Engine) {
	for i, e := range engines() {
		asked := c.engines == ""
		for _, name := range strings.Split(c.engines, ",") {
			asked = asked || strings.HasPrefix(e.Name(), name)
		}
		if asked && slices.Contains(e.Shapes(), shape) {
			makers = append(makers, func() Engine { return engines()[i] })
		}
	}
	return makers
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	shapes, err := c.chosenShapes()
	if err != nil {
		return err
	}
	s, err := startServer(ctx, c.url, c.dir, !c.quick, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer s.close()

	var all []*contestant
	for _, sync := range []bool{true, false} {
		if sync && c.sync == "off" || !sync && c.sync == "on" {
			continue
		}
		b := bench{server: s, plan: c.plan, progress: progress(stderr)}
		b.plan.Sync = sync
		for _, shape := range shapes {
			all = append(all, b.measure(ctx, shape, c.competitors(shape))...)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.quick {
		fmt.Fprint(stdout, "A few runs of each engine, to see that they work. The figures mean nothing.\n\n"+blocks(all))
	} else {
		fmt.Fprint(stdout, report(heading(s, c.plan), all))
	}
	if c.json != "" {
		text, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return verdict(all, c.strict)
}

// progress is where it is shown what is going on: nowhere but on a terminal.
func progress(stderr io.Writer) io.Writer {
	if file, ok := stderr.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return stderr
		}
	}
	return io.Discard
}

// heading says where and how it was measured.
func heading(s *server, p plan) string {
	length := fmt.Sprintf("about %g seconds", p.Seconds)
	if p.Runs > 0 {
		length = fmt.Sprintf("%d steps", p.Runs)
	}
	rounds := fmt.Sprintf("medians of %d rounds", p.Rounds)
	if p.Rounds == 1 {
		rounds = "one round"
	}
	return fmt.Sprintf("%s: PostgreSQL %s, %d processors for server and engines together, %s/%s\n%s\n%s of %s each, engines in turns; %d workers; durable unless it says otherwise\n",
		time.Now().Format("2006-01-02"), s.version, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, s.about, rounds, length, p.Workers)
}

// verdict fails if something went wrong, or was not to be had and had to be.
func verdict(all []*contestant, strict bool) error {
	var errs []error
	for _, c := range all {
		if c.Failed != "" {
			errs = append(errs, fmt.Errorf("%s at %s: %s", c.Engine, c.Shape, c.Failed))
		} else if c.LeftOut != "" && strict {
			errs = append(errs, fmt.Errorf("%s at %s was left out: %s", c.Engine, c.Shape, c.LeftOut))
		}
	}
	return errors.Join(errs...)
}
