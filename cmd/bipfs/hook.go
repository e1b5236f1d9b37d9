//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
)

// Commands of --on: each event is told to those that were named for it, by a process of
// its own, mostHooks at a time.
//
//	chronicle ──event──▶ hooks ──▶ command, with $BIPFS_EVENT and the like
//	 1,024 at most        waits while mostHooks run
//
// Nobody waits for them: what comes faster than they work is lost, and the log says so.

const (
	// mostHooks is how many commands run at a time.
	mostHooks = 4
	// hookTime is how long one may run.
	hookTime = time.Minute
	// hookSays is how many bytes of what one wrote to its standard error are logged.
	hookSays = 1 << 10
)

// hooks are the commands of --on.
type hooks struct {
	commands   map[string][]string // by event
	mountpoint string
	events     func(since uint64) (events []control.Event, missed uint64, more <-chan struct{})
	within     time.Duration
	log        *slog.Logger
}

// newHooks are what --on says.
func newHooks(flags []string, client *engine.Client, cfg engine.Config) (*hooks, error) {
	commands, err := hookCommands(flags)
	return &hooks{commands: commands, mountpoint: cfg.Mountpoint, events: client.Events, within: hookTime, log: cfg.Log}, err
}

// hookCommands are the commands for each event: of EVENT=/absolute/command.
//
// One that is not there is an error, and among them.
func hookCommands(flags []string) (commands map[string][]string, wrong error) {
	commands = map[string][]string{}
	for _, flag := range flags {
		event, command, found := strings.Cut(flag, "=")
		switch {
		case !found || !filepath.IsAbs(command):
			return nil, usagef("--on %s is not EVENT=/absolute/command", flag)
		case !slices.Contains(engine.EventNames, event):
			return nil, usagef("--on %s: there is no event %q; there are %s", flag, event, strings.Join(engine.EventNames, ", "))
		}
		st, err := os.Stat(command)
		if err == nil && (st.IsDir() || st.Mode()&0o111 == 0) {
			err = errors.New("it cannot be executed")
		}
		if err != nil {
			wrong = errors.Join(wrong, usagef("--on %s: %w", flag, err))
		}
		commands[event] = append(commands[event], command)
	}
	return commands, wrong
}

// run starts the commands for what happens, until ctx ends. It returns when all have
// ended.
func (h *hooks) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, mostHooks)
	for since := uint64(0); ; {
		events, missed, more := h.events(since)
		if missed > 0 {
			h.log.Warn("events came faster than the commands of --on worked, and were not told to them", "events", missed)
		}
		for _, e := range events {
			since = e.Seq
			for _, command := range h.commands[e.Event] {
				select {
				case free <- struct{}{}:
				case <-ctx.Done():
					return
				}
				running.Go(func() {
					defer func() { <-free }()
					h.tell(ctx, command, e)
				})
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// tell runs one command. What it has started ends with it when its time is over.
func (h *hooks) tell(ctx context.Context, command string, e control.Event) {
	ctx, cancel := context.WithTimeoutCause(ctx, h.within, fmt.Errorf("it did not end within %v", h.within))
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, command)
	cmd.Env = append(os.Environ(), h.environment(e)...)
	cmd.Stderr = &bounded{&said, hookSays}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for whom it has left behind with its standard error
	err := cmd.Run()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		if errors.Is(cause, context.Canceled) {
			return
		}
		err = cause
	}
	if err != nil {
		h.log.Error("a command of --on has failed", "command", command, "event", e.Event, "torrent", e.Infohash, "err", err, "said", shown(said.String()))
	}
}

// environment is what a command is told.
func (h *hooks) environment(e control.Event) []string {
	path := e.Path
	if path == "" {
		path = filepath.Join(e.Folder, e.Name)
	}
	if path != "" {
		path = filepath.Join(h.mountpoint, path)
	}
	return []string{"BIPFS_EVENT=" + e.Event, "BIPFS_INFOHASH=" + e.Infohash, "BIPFS_NAME=" + e.Name, "BIPFS_PATH=" + path}
}

// bounded takes the first bytes, and forgets the rest.
type bounded struct {
	to   *bytes.Buffer
	left int
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.to.Write(p[:n])
	return len(p), nil
}
