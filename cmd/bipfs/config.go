//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// configCommand is `bipfs config`.
type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Say what is wrong with the configuration."`
	Show  configShowCommand  `cmd:"" help:"Print what holds, and where it comes from."`
}

// configCheckCommand is `bipfs config check`.
type configCheckCommand struct {
	File string `arg:"" optional:"" help:"A file (default: all that a mount reads, and the environment)." type:"path"`
}

// Run checks. What is fine is said, too.
func (c *configCheckCommand) Run(ctx *kong.Context, s streams) error {
	files := configFiles()
	if c.File != "" {
		if _, err := os.Stat(c.File); err != nil {
			return err
		}
		files = []string{c.File}
	}
	known := settable(ctx.Model.Node)
	var wrong error
	for _, path := range files {
		err := readConfig(path, known, settings{})
		switch {
		case errors.Is(err, os.ErrNotExist):
			fmt.Fprintf(s.out, "%s: there is none\n", path)
		case err == nil:
			fmt.Fprintf(s.out, "%s: can be read\n", path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			wrong = errors.Join(wrong, err)
		}
	}
	if wrong != nil {
		return usageError{wrong}
	}
	// What is right by itself may be wrong together, or too little.
	if _, err := parseMount([]string{"mount", os.TempDir()}, files, c.File == ""); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.out, "nothing is wrong")
	return err
}

// parseMount is a command line of `bipfs mount`, with settings from files and, maybe,
// the environment, checked as far as that can be done without mounting.
func parseMount(args, files []string, environment bool) (*mountCommand, error) {
	all := &commands{}
	return &all.Mount, parseAgain(all, func() error { return all.Mount.check() }, args, files, environment)
}

// configShowCommand is `bipfs config show`.
type configShowCommand struct{}

// Run prints a line for each setting.
func (configShowCommand) Run(ctx *kong.Context, s streams) error {
	known := settable(ctx.Model.Node)
	all, err := readSettings(known, configFiles(), true)
	if err != nil {
		return usageError{err}
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, command := range ctx.Model.Children {
		if command.Name != "mount" {
			continue
		}
		for _, flag := range command.Flags {
			value, from := flag.Default, "default"
			if set, ok := all[flag.Name]; ok {
				value, from = shownValue(set.value), set.from
			}
			switch {
			case value != "":
			case flag.IsBool():
				value = "false"
			default:
				value = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", flag.Name, shown(value), from)
		}
	}
	return w.Flush()
}

// shownValue is a setting for people.
func shownValue(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var words []string
	for _, o := range list {
		words = append(words, fmt.Sprint(o))
	}
	return strings.Join(words, " ")
}
