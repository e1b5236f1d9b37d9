// The laboratory measures bipfs beside its peers, so that anybody can reproduce
// docs/PERFORMANCE.md. README.md says how.
//
//	scenario ──▶ session: a swarm  ◀── veth ──▶  a client        figures ──▶ rows ──▶ table
//	(a row of      (role swarm,                  (bipfs, btfs,      ▲
//	the table)      namespace of its own)         libtorrent …)     │
//	                     │                          │ mount or folder
//	                     │ what each seeder sent    ▼               │
//	                     └───────────────────▶ reader (role reader) ┘
//	                                           compares every byte
//
// Whatever may wait in a mount is a process of its own, which can be killed: this
// one touches no mount. Everything is removed at the end, at SIGINT too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/integration/lab/reader"
	"bipfs/integration/lab/static"
	"bipfs/integration/lab/swarm"
)

func main() {
	if name := os.Getenv(roleEnv); name != "" {
		os.Exit(play(name, os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// play is the life of another process of the laboratory, and its exit code.
func play(role string, args []string) int {
	var err error
	switch role {
	case "swarm":
		err = swarm.Serve(os.Stdin, os.Stdout)
	case "reader":
		err = reader.Serve(os.Stdin, os.Stdout)
	case "static":
		err = static.Serve(args[0], args[1], func() { fmt.Println("ready") })
	default:
		err = errors.New("no such role: " + role)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

// lab is one run of the laboratory.
type lab struct {
	bipfs string   // the program under test
	flags []string // of `bipfs mount`
	disk  string   // the folder that clients store in
	ram   string   // the folder with the originals
	net   *namespaces
	out   io.Writer // tab-separated
	null  float64   // seconds that a program takes that does nothing
	wg    sync.WaitGroup
}

// options are those of the command line.
type options struct {
	runs      int
	only, sys string
	out       string
	disk, ram string
	flags     string
	list      bool
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("lab", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 5, "runs of each scenario; the table shows medians")
	f.StringVar(&o.only, "only", "", "`NAMES` of scenarios, by commas; all without it")
	f.StringVar(&o.sys, "sys", "", "`NAMES` of systems, by commas; without it all that are installed, where a row needs a peer")
	f.StringVar(&o.out, "out", "", "append every figure and the table to this `FILE`, tab-separated")
	f.StringVar(&o.disk, "dir", os.TempDir(), "clients store below this `FOLDER`")
	f.StringVar(&o.ram, "ram", "/dev/shm", "the originals lie below this `FOLDER`, in memory; 2.5 GiB")
	f.StringVar(&o.flags, "flags", "", "more `FLAGS` of bipfs mount, by spaces")
	f.BoolVar(&o.list, "list", false, "name the scenarios and systems, and end")
	if err = f.Parse(args); err == nil && (f.NArg() > 0 || o.runs < 1) {
		err = fmt.Errorf("what is %q? (--runs is at least 1)", f.Args())
	}
	return o, err
}

// run is a whole run.
func run(ctx context.Context, args []string, table io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range scenarios {
			fmt.Fprintf(table, "%s\t%s\n", s.name, s.about)
		}
		for _, s := range systems {
			fmt.Fprintf(table, "%s\tinstalled: %v\n", s.name, s.found())
		}
		return nil
	}
	chosen, err := pick(o.only)
	if err != nil {
		return err
	}
	measured, err := choose(o.sys)
	if err != nil {
		return err
	}
	l, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var all []*verdict
	for _, s := range chosen {
		all = append(all, l.measure(ctx, s, fit(s, measured, o.sys != ""), o.runs)...)
	}
	fmt.Fprintln(table, "scenario\twhat\tmedian\tbeside\tratio\treach\tverdict\truns")
	for _, v := range all {
		fmt.Fprintln(table, v)
		fmt.Fprintln(l.out, "table\t"+v.String())
	}
	return context.Cause(ctx)
}

// pick is the scenarios of a list of names.
func pick(list string) (chosen []scenario, err error) {
	if list == "" {
		return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return s.hidden }), nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--only %s: no such scenario", name)
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// fit is the systems that a scenario measures: of those that were asked for all
// that can, and else only those whose figures a row needs.
func fit(s scenario, systems []system, asked bool) (fitting []system) {
	for _, one := range systems {
		if slices.Contains(s.kinds, one.kind) && (asked || !s.alone || one.name == "bipfs") && (one.name != "fetch" || s.name == "fetch") {
			fitting = append(fitting, one)
		}
	}
	return fitting
}

// open makes what all scenarios need.
func open(ctx context.Context, o options) (l *lab, err error) {
	l = &lab{flags: strings.Fields(o.flags), out: io.Discard}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.bipfs, err = program(); err != nil {
		return l, err
	}
	if o.out != "" {
		f, err := os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return l, err
		}
		l.out = f
	}
	for _, dir := range []struct {
		at *string
		in string
	}{{&l.disk, o.disk}, {&l.ram, o.ram}} {
		if *dir.at, err = os.MkdirTemp(dir.in, "bipfs-lab-"); err != nil {
			return l, err
		}
	}
	if l.net, err = newNamespaces(); err != nil {
		return l, err
	}
	l.null, err = l.nothing(ctx)
	return l, err
}

// nothing is how long a program takes that does nothing, in seconds.
func (l *lab) nothing(ctx context.Context) (float64, error) {
	var took []float64
	for range 5 {
		p, err := startProcess(l.net.client, newCommand("true"))
		if err != nil {
			return 0, err
		}
		err = p.wait(ctx)
		took = append(took, time.Since(p.began).Seconds())
		p.stop()
		if err != nil {
			return 0, err
		}
	}
	return median(took), nil
}

// close removes everything.
func (l *lab) close() (err error) {
	l.wg.Wait()
	if l.net != nil {
		l.net.close()
	}
	for _, dir := range []string{l.disk, l.ram} {
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	if f, ok := l.out.(*os.File); ok {
		err = errors.Join(err, f.Close())
	}
	return err
}
