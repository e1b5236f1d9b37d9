// Package top is a running mount as a terminal shows it, once a second: its
// torrents, and of the chosen one its readers, its peers and its pieces.
//
//	           question                  look
//	model ──▶ what is on ──▶ daemon ──▶ what it ──▶ model ──▶ frame ──▶ terminal
//	model.go  the screen     look.go    answers     Update    list.go
//	                      (the control socket)                torrent.go
//
// The model is pure: keys, sizes and looks go in, frames come out, and time comes
// with the looks. Only look.go asks, one look at a time, and only for what is
// shown. Names are a stranger's: everything goes to the terminal through plain
// (text.go), and rates are what came between two looks (rate.go).
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
)

// Options are how it is shown.
type Options struct {
	In      io.Reader // of keys, when Out is a terminal
	Out     io.Writer
	Torrent string              // the infohash of the one that is shown first; "": the list
	Once    bool                // one frame without colours, and no more
	Getenv  func(string) string // NO_COLOR, COLUMNS, LINES
}

// ErrNoTerminal is that there is nothing to show it on.
var ErrNoTerminal = errors.New("standard output is no terminal: --once prints one frame")

// How often the mount is asked, and how long an answer may take.
const (
	every    = time.Second
	lookTime = 10 * time.Second
)

// Run shows the mount until the user ends it; until ctx ends or a signal comes, which
// is context.Canceled; or until the mount has not answered for some seconds, which is
// an error of its own.
func Run(ctx context.Context, d Daemon, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of a look under way; its goroutine is bubbletea's, and ends by this
	m := newModel(o.Torrent)
	m.ink = colours
	if o.Getenv("NO_COLOR") != "" {
		m.ink = mono
	}
	out, isFile := o.Out.(*os.File)
	terminal := isFile && term.IsTerminal(out.Fd())
	switch {
	case o.Once:
		m.width, m.height = o.size(out, terminal)
		return m.once(ctx, d, o.Out)
	case !terminal:
		return ErrNoTerminal
	}
	m.ask = func(q question) tea.Cmd {
		return func() tea.Msg { return ask(ctx, d, q) }
	}
	// Signals and ctx end it as q does: the terminal is restored, and nobody reads from
	// it any more. (What bubbletea does about them itself leaves its reader behind.)
	ctx, ignore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer ignore()
	p := tea.NewProgram(m, tea.WithoutSignalHandler(), tea.WithInput(o.In), tea.WithOutput(out))
	stop := context.AfterFunc(ctx, p.Quit)
	defer stop()
	_, err := p.Run()
	switch {
	case m.ended != nil:
		return m.ended
	case ctx.Err() != nil:
		return context.Canceled
	}
	return err
}

// size is that of the terminal; else what the environment says, or 80 × 24.
func (o Options) size(out *os.File, terminal bool) (width, height int) {
	if terminal {
		if w, h, err := term.GetSize(out.Fd()); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return o.number("COLUMNS", 80), o.number("LINES", 24)
}

// longestSide is the most columns, and lines, that the environment may ask for.
const longestSide = 1000

func (o Options) number(name string, otherwise int) int {
	n, err := strconv.Atoi(o.Getenv(name))
	if err != nil || n < 1 || n > longestSide {
		return otherwise
	}
	return n
}

// once writes one frame. It looks twice, so that there are rates.
func (m *model) once(ctx context.Context, d Daemon, w io.Writer) error {
	m.still, m.ink = true, none
	for i := range 2 {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(every):
			}
		}
		l := ask(ctx, d, m.question())
		if l.err != nil {
			return l.err
		}
		m.see(l)
	}
	if m.note != "" {
		return errors.New(m.note)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(m.text(), "\n"))
	return err
}
