package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Flags of `bipfs mount` are settings: what is not given on the command line is looked
// for in these places, the later ones first, by every command that has the flag:
//
//	default ◀ /etc/bipfs/config.toml ◀ $XDG_CONFIG_HOME/bipfs/config.toml ◀ BIPFS_<FLAG> ◀ flag

// systemConfig is the configuration of the machine.
const systemConfig = "/etc/bipfs/config.toml"

// configFiles are the files that may have settings, the last one wins.
func configFiles() []string {
	base := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return []string{systemConfig}
		}
		base = filepath.Join(home, ".config")
	}
	return []string{systemConfig, filepath.Join(base, "bipfs", "config.toml")}
}

// setting is what a flag is without being given.
type setting struct {
	value any    // a string, or for a list []any of strings
	from  string // "/etc/bipfs/config.toml, line 3" or "BIPFS_DISK"
}

// settings are values of flags, by the names of these.
type settings map[string]setting

// configuration gives flags their settings (kong.Resolver). It is read when the first
// command line flag that may have one is met: help is there even if it is wrong.
type configuration struct {
	files         []string
	noEnvironment bool
	known         map[string]*kong.Flag
	values        settings // nil: not read
	used          map[string]string
	err           error // why it cannot be used
}

// Validate implements kong.Resolver.
func (c *configuration) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. Errors are kept: kong would begin them with the
// name of a flag that has nothing to do with it.
func (c *configuration) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if c.known == nil {
		c.known = settable(ctx.Model.Node)
	}
	// The flags of `bipfs limit` are of other types: they change what they name.
	if of := c.known[flag.Name]; of == nil || of.Target.Type() != flag.Target.Type() || c.err != nil {
		return nil, nil
	}
	if c.values == nil {
		if c.values, c.err = readSettings(c.known, c.files, !c.noEnvironment); c.err != nil {
			return nil, nil
		}
	}
	s, ok := c.values[flag.Name]
	if !ok {
		return nil, nil
	}
	if c.used == nil {
		c.used = map[string]string{}
	}
	c.used[flag.Name] = s.from
	return s.value, nil
}

// parseAgain reads a command line into all, with settings from files and, maybe, the
// environment, and checks it as far as that can be done without running it.
func parseAgain(all *commands, check func() error, args, files []string, environment bool) error {
	c := &configuration{files: files, noEnvironment: !environment}
	_, err := newParser(all, streams{strings.NewReader(""), io.Discard, io.Discard}, c).Parse(args)
	if c.err != nil {
		err = c.err
	}
	if err == nil {
		err = check()
	}
	if err != nil {
		return c.explained(err)
	}
	return nil
}

// origins are where the settings that a message names come from.
func (c *configuration) origins(message string) string {
	var from []string
	for name, place := range c.used {
		at := strings.Index(message, "--"+name)
		if at < 0 {
			continue
		}
		if rest := message[at+2+len(name):]; rest == "" || !isNameByte(rest[0]) {
			from = append(from, fmt.Sprintf("%s is set in %s", name, place))
		}
	}
	slices.Sort(from)
	return strings.Join(from, ", ")
}

func isNameByte(b byte) bool { return b == '-' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }

// settable are the flags that may have settings: those of the mount.
func settable(app *kong.Node) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	for _, command := range app.Children {
		if command.Name == "mount" {
			for _, flag := range command.Flags {
				flags[flag.Name] = flag
			}
		}
	}
	return flags
}

// readSettings reads the files, of which any may be missing, and maybe the environment.
func readSettings(known map[string]*kong.Flag, files []string, environment bool) (settings, error) {
	all := settings{}
	for _, path := range files {
		if err := readConfig(path, known, all); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if !environment {
		return all, nil
	}
	return all, readEnvironment(known, all)
}

// variable is the name of a flag in the environment. Other names that begin with
// BIPFS_ are not ours to judge (docs/adr/0030).
func variable(flag string) string {
	return "BIPFS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readEnvironment adds what is set there. An empty variable is as good as none.
func readEnvironment(known map[string]*kong.Flag, into settings) error {
	for name, flag := range known {
		v := os.Getenv(variable(name))
		if v == "" {
			continue
		}
		var value any = v
		if flag.IsSlice() && flag.Tag.Sep == -1 {
			list := []any{}
			for _, word := range strings.Fields(v) {
				list = append(list, word)
			}
			value = list
		}
		if err := admits(flag, value); err != nil {
			return fmt.Errorf("%s: %w", variable(name), err)
		}
		into[name] = setting{value, variable(name)}
	}
	return nil
}

// admits reports why a flag does not take a value, and what it does take.
func admits(flag *kong.Flag, value any) error {
	fresh := reflect.New(flag.Target.Type()).Elem()
	err := flag.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), fresh)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the flag, which kong names as on the command line
		}
	} else if flag.Enum != "" && !flag.EnumMap()[fmt.Sprint(fresh.Interface())] {
		err = fmt.Errorf("%q is none of those", shortened(fmt.Sprint(value)))
	}
	if err == nil {
		return nil
	}
	if form := form(flag); form != "" {
		err = fmt.Errorf("%w: it takes %s", err, form)
	}
	return err
}

// form is what a flag takes, in words; "" if the flag's own errors say it.
func form(flag *kong.Flag) string {
	switch v := values(flag.Value); {
	case flag.IsBool():
		return "true or false"
	case v != nil:
		return "one of " + strings.Join(v, ", ")
	case flag.IsSlice():
		return `a list, as ["` + flag.FormatPlaceHolder() + `"]`
	case flag.Target.Type() == reflect.TypeFor[time.Duration]():
		return `a duration, as "90s" or "24h"`
	}
	switch flag.Target.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	}
	return ""
}

// explained is an error that says where the settings come from that it names.
func (c *configuration) explained(err error) error {
	if from := c.origins(sentence(err)); from != "" {
		return fmt.Errorf("%w (%s)", err, from)
	}
	return err
}
