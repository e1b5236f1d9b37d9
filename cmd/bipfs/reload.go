package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"bipfs/engine"
)

// live are the settings that change while a mount runs; all others wait for its next
// start.
var live = []string{"down", "up", "background"}

// typed is the command line of a command that goes on: it is read again with the
// configuration.
type typed struct {
	args  []string
	flags []*kong.Flag // with their values
}

// AfterApply is called by kong, and remembers what was read.
func (t *typed) AfterApply(ctx *kong.Context) error {
	t.args, t.flags = ctx.Args, ctx.Selected().Flags
	return nil
}

func (t *typed) given() []*kong.Flag { return t.flags }

// standing is a command that goes on, as its command line and the configuration have it.
type standing interface {
	given() []*kong.Flag
	rates() engine.Rates
}

// reload reads the configuration and the block list again at each SIGHUP, until ctx
// ends. What cannot be used leaves what was before.
func reload(ctx context.Context, client *engine.Client, first standing, read func() (standing, error), again <-chan os.Signal, log *slog.Logger) {
	before := first // the settings that were read last
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		next, err := read()
		if err != nil {
			log.Error("nothing is read again: what was before holds", "err", sentence(err))
			continue
		}
		obey(client, before.rates(), next.rates(), log)
		if later := restart(first, next); later != nil {
			log.Warn("the configuration has changed in what needs a restart", "settings", strings.Join(later, " "))
		}
		before = next
		switch err := client.LoadBlocklist(ctx); {
		case err == nil:
			log.Info("read again at SIGHUP")
		case ctx.Err() == nil:
			log.Error("the block list is not read again: the one before holds", "err", err)
		}
	}
}

// obey changes what can be changed and differs from what was read before: so a limit
// that `bipfs limit` has set holds until the configuration has another.
func obey(client *engine.Client, before, next engine.Rates, log *slog.Logger) {
	limits := client.Limits()
	var now []string
	for _, l := range []struct {
		name          string
		limit         *int64
		before, after int64
	}{
		{"down", &limits.Down, before.Down, next.Down},
		{"up", &limits.Up, before.Up, next.Up},
		{"background", &limits.Background, before.Background, next.Background},
	} {
		if l.before != l.after {
			*l.limit = l.after
			now = append(now, l.name)
		}
	}
	if now == nil {
		return
	}
	if err := client.SetLimits(limits); err != nil {
		log.Error("the limits stay as they are", "err", err)
	} else {
		log.Info("the configuration has changed", "settings", strings.Join(now, " "))
	}
}

// restart are the settings of next that differ from what a command was started with,
// and that only a restart changes.
func restart(first, next standing) (names []string) {
	for i, flag := range first.given() {
		is, was := next.given()[i].Target.Interface(), flag.Target.Interface()
		if !slices.Contains(live, flag.Name) && !reflect.DeepEqual(is, was) {
			names = append(names, flag.Name)
		}
	}
	return names
}
