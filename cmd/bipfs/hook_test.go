package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/control"
)

// script is a shell script that can be executed.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// told runs hooks on events until done says so, and returns their log.
func told(t *testing.T, h *hooks, events []control.Event, done func() bool) string {
	t.Helper()
	for i := range events {
		events[i].Seq = uint64(i + 1)
	}
	var log strings.Builder
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	h.events = func(since uint64) ([]control.Event, uint64, <-chan struct{}) {
		return events[since:], 0, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.run(ctx)
	}()
	for deadline := time.Now().Add(time.Minute); !done() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-ended
	if !done() {
		t.Fatalf("not all was told: %s", &log)
	}
	return log.String()
}

// exists is whether there are so many files in a folder.
func exists(dir string, n int) func() bool {
	return func() bool {
		entries, _ := os.ReadDir(dir)
		return len(entries) >= n
	}
}

func TestHook(t *testing.T) {
	dir := t.TempDir()
	// What is renamed is whole.
	command := script(t, `f=$(mktemp `+dir+`.XXXX); { env | grep ^BIPFS_; cat; } >$f; mv $f `+dir+"/$BIPFS_EVENT\n")
	h := &hooks{commands: map[string][]string{"file-complete": {command}, "disk-full": {command}, "added": {command}, "moved": {command}}, mountpoint: "/mnt", within: hookTime}
	told(t, h, []control.Event{
		{Event: "added", Infohash: "ab", Name: "a film"}, {Event: "removed", Infohash: "ab"},
		{Event: "file-complete", Infohash: "ab", Name: "a film", Path: "a film/$(x) 'y'.mkv"}, {Event: "disk-full"},
		{Event: "moved", Infohash: "ab", Name: "a film", Folder: "films/2024"},
	}, exists(dir, 4))
	for event, want := range map[string]string{
		"added":         "BIPFS_EVENT=added\nBIPFS_INFOHASH=ab\nBIPFS_NAME=a film\nBIPFS_PATH=/mnt/a film\n",
		"file-complete": "BIPFS_EVENT=file-complete\nBIPFS_INFOHASH=ab\nBIPFS_NAME=a film\nBIPFS_PATH=/mnt/a film/$(x) 'y'.mkv\n",
		"moved":         "BIPFS_EVENT=moved\nBIPFS_INFOHASH=ab\nBIPFS_NAME=a film\nBIPFS_PATH=/mnt/films/2024/a film\n",
		"disk-full":     "BIPFS_EVENT=disk-full\nBIPFS_INFOHASH=\nBIPFS_NAME=\nBIPFS_PATH=\n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, event))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(got), "\n")
		slices.Sort(lines)
		if got := strings.Join(lines, ""); got != want {
			t.Errorf("at %s a command is told %q, want %q", event, got, want)
		}
	}
}

// One that fails, hangs, or leaves somebody behind is named in the log, and holds up
// nobody for longer than its time.
func TestHookTrouble(t *testing.T) {
	dir := t.TempDir()
	fails := script(t, "echo 'no room' >&2; exit 3")
	hangs := script(t, "sleep 1000 & sleep 1000")
	works := script(t, "touch "+dir+"/$BIPFS_NAME")
	h := &hooks{commands: map[string][]string{"added": {fails}, "removed": {hangs}, "complete": {works}}, mountpoint: "/mnt", within: 200 * time.Millisecond}
	log := told(t, h, []control.Event{
		{Event: "added"}, {Event: "removed"}, {Event: "removed"}, {Event: "removed"}, {Event: "removed"}, {Event: "complete", Name: "x"},
	}, exists(dir, 1))
	for _, want := range []string{"exit status 3", "no room", "did not end within 200ms", filepath.Base(fails)} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q: %s", want, log)
		}
	}
}

// TestMostHooks: four at a time, and no more.
func TestMostHooks(t *testing.T) {
	dir := t.TempDir()
	command := script(t, "mkdir "+dir+"/$BIPFS_NAME; while ! [ -e "+dir+"/go ]; do sleep 0.02; done; mkdir "+dir+"/$BIPFS_NAME.done")
	var events []control.Event
	for i := range mostHooks + 2 {
		events = append(events, control.Event{Event: "added", Name: fmt.Sprint(i)})
	}
	var most atomic.Int64
	h := &hooks{commands: map[string][]string{"added": {command}}, mountpoint: "/mnt", within: hookTime}
	calm := time.Time{}
	told(t, h, events, func() bool {
		entries, _ := os.ReadDir(dir)
		if n := int64(len(entries)); most.Load() < n {
			most.Store(n)
		}
		switch {
		case calm.IsZero() && len(entries) == mostHooks:
			calm = time.Now()
		case !calm.IsZero() && time.Since(calm) > 200*time.Millisecond:
			if n := len(entries); n > mostHooks && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "go" }) {
				t.Fatalf("%d commands run at a time", n)
			}
			_ = os.WriteFile(filepath.Join(dir, "go"), nil, 0o600)
		}
		return len(entries) == 2*len(events)+1
	})
}

func TestHookFlags(t *testing.T) {
	command := script(t, "true")
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := hookCommands([]string{"added=" + command, "added=" + command, "disk-full=" + command})
	if err != nil || len(all["added"]) != 2 || len(all["disk-full"]) != 1 {
		t.Fatal(all, err)
	}
	for flag, want := range map[string]string{
		"added":               "is not EVENT=/absolute/command",
		"added=touch":         "is not EVENT=/absolute/command",
		"comes=" + command:    `there is no event "comes"; there are added, `,
		"added=" + plain:      "cannot be executed",
		"added=/no/such/file": "no such file",
		"added=/":             "cannot be executed",
	} {
		if _, err := hookCommands([]string{flag}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--on %s: %v, want %q", flag, err, want)
		}
	}
}
