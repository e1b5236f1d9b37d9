package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a terminal that a test types on and looks at.
type terminal struct {
	*testing.T
	master, slave *os.File
	before        unix.Termios
	wg            sync.WaitGroup

	mu   sync.Mutex
	sent []byte // to the screen
}

func newTerminal(t *testing.T, width, height uint16) *terminal {
	t.Setenv("TERM", "xterm-256color")
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	y := &terminal{T: t, master: master, slave: slave}
	y.resize(width, height)
	y.before = y.modes()
	y.wg.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := master.Read(b)
			y.mu.Lock()
			y.sent = append(y.sent, b[:n]...)
			y.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		slave.Close() // the last: the master reads EIO
		y.wg.Wait()
		master.Close()
	})
	return y
}

func (y *terminal) modes() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(y.slave.Fd()), unix.TCGETS)
	if err != nil {
		y.Fatal(err)
	}
	return *modes
}

func (y *terminal) resize(width, height uint16) {
	if err := unix.IoctlSetWinsize(int(y.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		y.Fatal(err)
	}
}

// resized has it be another size, and waits until all is drawn anew. It is not our own
// terminal: nobody else would say so, and who is to hear it may not listen yet.
func (y *terminal) resized(width, height uint16, text string) {
	y.Helper()
	y.resize(width, height)
	y.until(fmt.Sprintf("%q has not come", text), func() bool {
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			y.Fatal(err)
		}
		return y.comes(text)
	})
}

// sees waits until the screen was sent a text since the last time. Only what is new is
// sent, and in whatever order: a text that is certain to come whole is one on an empty
// line, or after another size.
func (y *terminal) sees(text string) {
	y.Helper()
	y.until(fmt.Sprintf("%q has not come", text), func() bool { return y.comes(text) })
}

func (y *terminal) comes(text string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	at := strings.Index(string(y.sent), text)
	if at >= 0 {
		y.sent = y.sent[at+len(text):]
	}
	return at >= 0
}

func (y *terminal) types(keys string) {
	if _, err := y.master.WriteString(keys); err != nil {
		y.Fatal(err)
	}
}

// run runs it in the terminal, and joins it before the terminal goes.
func (y *terminal) run(ctx context.Context, c *catalogue) (ended chan error) {
	ctx, cancel := context.WithCancel(ctx)
	ended = make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		ended <- Run(ctx, c, Options{In: y.slave, Out: y.slave, Getenv: environment(nil)})
	})
	y.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return ended
}

// isAsked waits until a catalogue was asked for a path since the last time.
func (y *terminal) isAsked(c *catalogue, path string) {
	y.Helper()
	y.until(path+" was not asked for", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		at := slices.Index(c.asked, path)
		if at >= 0 {
			c.asked = c.asked[at+1:]
		}
		return at >= 0
	})
}

// until waits for a condition.
func (y *terminal) until(failure string, is func() bool) {
	y.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.Fatalf("%s; the screen was sent %q", failure, y.sent)
		}
	}
}

// restored waits for the end, and looks at what is left.
func (y *terminal) restored(ended chan error) error {
	y.Helper()
	var err error
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		y.Fatal("it does not end")
	}
	y.sees("\x1b[?1049l") // the screen of before
	if after := y.modes(); after != y.before {
		y.Errorf("the terminal's modes were %+v and are %+v", y.before, after)
	}
	return err
}

// TestTerminal: frames, keys and sizes on a real terminal, which is as it was after q.
func TestTerminal(t *testing.T) {
	y := newTerminal(t, 100, 24)
	c := films()
	ended := y.run(t.Context(), c)
	y.sees("\x1b[?1049h") // a screen of its own
	y.sees("debian-12.8.0-amd64-netin…")
	y.types("\x1b[B") // down
	y.types("\r")
	y.isAsked(c, "torrents/"+hash(2)+"/pieces")
	y.resized(90, 24, "no pieces are known")
	y.types("\x1b")
	y.isAsked(c, "torrents")
	y.resized(20, 6, "debian-12.8.0-amd…")
	y.types("q")
	if err := y.restored(ended); err != nil {
		t.Error(err)
	}
}

// TestTerminalEnds: by Ctrl-C, by its context, and when the mount has gone; the
// terminal is as it was.
func TestTerminalEnds(t *testing.T) {
	t.Run("Ctrl-C", func(t *testing.T) {
		y := newTerminal(t, 80, 24)
		ended := y.run(t.Context(), films())
		y.sees("q: quit")
		y.types("\x03")
		if err := y.restored(ended); err != nil {
			t.Error(err)
		}
	})
	t.Run("context", func(t *testing.T) {
		y := newTerminal(t, 80, 24)
		ctx, cancel := context.WithCancel(t.Context())
		ended := y.run(ctx, films())
		y.sees("q: quit")
		cancel()
		if err := y.restored(ended); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("signal", func(t *testing.T) {
		y := newTerminal(t, 80, 24)
		ended := y.run(t.Context(), films())
		y.sees("q: quit")
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := y.restored(ended); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		y := newTerminal(t, 80, 24)
		c := films()
		ended := y.run(t.Context(), c)
		y.sees("q: quit")
		c.mu.Lock()
		c.gone = true
		c.mu.Unlock()
		y.sees("the mount does not answer")
		if err := y.restored(ended); err == nil || !strings.Contains(err.Error(), "has gone") {
			t.Error(err)
		}
	})
}
