package top

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// environment is that of a shell, but for what is given.
func environment(set map[string]string) func(string) string {
	return func(name string) string { return set[name] }
}

// TestOnce: one frame, of two looks, with rates; without orders to a terminal.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := films()
		var out bytes.Buffer
		go func() {
			time.Sleep(every / 2)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.more(hash(1), 7<<20, 0)
		}()
		start := time.Now()
		if err := Run(t.Context(), c, Options{Out: &out, Once: true, Getenv: environment(map[string]string{"COLUMNS": "100", "LINES": "9"})}); err != nil {
			t.Fatal(err)
		}
		frame := out.String()
		if !strings.Contains(frame, "7.0 MiB/s") || !strings.Contains(frame, "Sintel") || strings.ContainsAny(frame, "\x1b>") || strings.Contains(frame, "quit") {
			t.Errorf("%q", frame)
		}
		if took := time.Since(start); took != every {
			t.Errorf("it took %v", took)
		}
		fits(t, strings.TrimSpace(frame), 100, 9)
	})
}

// TestOnceOfATorrent: the torrent that is named; and what is said if there is none.
func TestOnceOfATorrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := Run(t.Context(), films(), Options{Out: &out, Once: true, Torrent: hash(1), Getenv: environment(nil)}); err != nil || !strings.Contains(out.String(), "mpv") {
			t.Errorf("%v: %s", err, out.String())
		}
		out.Reset()
		err := Run(t.Context(), films(), Options{Out: &out, Once: true, Torrent: hash(77), Getenv: environment(nil)})
		if err == nil || !strings.Contains(err.Error(), "removed") || out.Len() > 0 {
			t.Errorf("%v: %s", err, out.String())
		}
	})
}

// TestOnceEnds: with its context, and when the mount does not answer.
func TestOnceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), every/2)
		defer cancel()
		var out bytes.Buffer
		if err := Run(ctx, films(), Options{Out: &out, Once: true, Getenv: environment(nil)}); !errors.Is(err, context.DeadlineExceeded) || out.Len() > 0 {
			t.Errorf("%v: %s", err, out.String())
		}
		c := films()
		c.gone = true
		if err := Run(t.Context(), c, Options{Out: &out, Once: true, Getenv: environment(nil)}); err == nil || out.Len() > 0 {
			t.Errorf("%v: %s", err, out.String())
		}
	})
}

// TestNoTerminal: what is no terminal is told of --once, also if it is a device.
func TestNoTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var out bytes.Buffer
	for _, err := range []error{
		Run(t.Context(), films(), Options{Out: &out, Getenv: environment(nil)}),
		Run(t.Context(), films(), Options{Out: null, Getenv: environment(nil)}),
	} {
		if !errors.Is(err, ErrNoTerminal) || !strings.Contains(err.Error(), "--once") || out.Len() > 0 {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

// TestEnvironment: sizes that are none are not taken.
func TestEnvironment(t *testing.T) {
	for value, want := range map[string]int{"": 80, "0": 80, "-3": 80, "wide": 80, "1": 1, "1000": 1000, "1001": 80} {
		o := Options{Getenv: environment(map[string]string{"COLUMNS": value})}
		if width, height := o.size(nil, false); width != want || height != 24 {
			t.Errorf("COLUMNS=%s: %d × %d", value, width, height)
		}
	}
}
