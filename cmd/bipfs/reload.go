//go:build linux

package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"

	"bipfs/engine"
)

// live are the settings that change while a mount runs; all others wait for its next
// start.
var live = []string{"down", "up", "background"}

// reload reads the configuration and the block list again at each SIGHUP, until ctx
// ends. What cannot be used leaves what was before.
func (m *mountCommand) reload(ctx context.Context, client *engine.Client, again <-chan os.Signal, log *slog.Logger) {
	read := m // the settings that were read last
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		next, err := parseMount(m.args, configFiles(), true)
		if err != nil {
			log.Error("nothing is read again: what was before holds", "err", sentence(err))
			continue
		}
		m.obey(client, read, next, log)
		read = next
		switch err := client.LoadBlocklist(ctx); {
		case err == nil:
			log.Info("read again at SIGHUP")
		case ctx.Err() == nil:
			log.Error("the block list is not read again: the one before holds", "err", err)
		}
	}
}

// obey changes what can be changed and differs from what was read before: so a limit
// that `bipfs limit` has set holds until the configuration has another. It names what
// has to wait.
func (m *mountCommand) obey(client *engine.Client, before, next *mountCommand, log *slog.Logger) {
	limits := client.Limits()
	var now []string
	for _, l := range []struct {
		name          string
		limit         *int64
		before, after Rate
	}{
		{"down", &limits.Down, before.Down, next.Down},
		{"up", &limits.Up, before.Up, next.Up},
		{"background", &limits.Background, before.Background, next.Background},
	} {
		if l.before != l.after {
			*l.limit = int64(l.after)
			now = append(now, l.name)
		}
	}
	if now != nil {
		if err := client.SetLimits(limits); err != nil {
			log.Error("the limits stay as they are", "err", err)
		} else {
			log.Info("the configuration has changed", "settings", strings.Join(now, " "))
		}
	}
	if later := m.restart(next); later != nil {
		log.Warn("the configuration has changed in what needs a restart", "settings", strings.Join(later, " "))
	}
}

// restart are the settings of next that differ from what m was started with, and that
// only a restart changes.
func (m *mountCommand) restart(next *mountCommand) (names []string) {
	for i, flag := range m.flags {
		is, was := next.flags[i].Target.Interface(), flag.Target.Interface()
		if !slices.Contains(live, flag.Name) && !reflect.DeepEqual(is, was) {
			names = append(names, flag.Name)
		}
	}
	return names
}
