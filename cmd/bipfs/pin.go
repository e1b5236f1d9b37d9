package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine"
	"bipfs/engine/control"
)

// The commands for what is to be fetched and kept. A place is a path in the mount,
// or whatever else names a torrent, which then is meant as a whole.

type (
	pinCommand   struct{ placesCommand }
	unpinCommand struct{ placesCommand }
)

type placesCommand struct {
	Path []string `arg:"" help:"A file or folder in the mount, or a torrent: its folder, infohash or magnet link."`
	talkFlags
}

// Run pins.
func (c *pinCommand) Run(s streams) error { return c.run(s, "pin") }

// Run unpins.
func (c *unpinCommand) Run(s streams) error { return c.run(s, "unpin") }

func (c *placesCommand) run(s streams, verb string) error {
	return c.talk(s, c.Path, func(ctx context.Context, t *talk) error {
		return t.eachPlace(ctx, c.Path, func(place string) error {
			p, err := t.pin(ctx, place, verb)
			if err != nil {
				return err
			}
			return t.print(p, func(w io.Writer) {
				fmt.Fprintf(w, "%sned\t%s of %s here\t%s\n", verb, figure.Bytes(p.Here), figure.Bytes(p.Length), shown(place))
			})
		})
	})
}

func (t *talk) pin(ctx context.Context, place, verb string) (p control.Path, err error) {
	err = t.Do(ctx, http.MethodPost, "path/"+verb+"?path="+escape(place), "", nil, &p)
	return p, err
}

// eachPlace calls do with every path that is named, as it is called below the mount
// point. One that fails is said, and the others go on.
func (t *talk) eachPlace(ctx context.Context, args []string, do func(place string) error) error {
	return t.eachOf(ctx, args, "", func(arg string) error {
		place, err := t.place(ctx, arg)
		if err == nil {
			err = do(place)
		}
		return err
	})
}

// place is what an argument is called below the mount point.
func (t *talk) place(ctx context.Context, arg string) (string, error) {
	if below, err := t.below(arg); err == nil {
		var p control.Path
		if t.Get(ctx, "path?path="+escape(below), &p) == nil {
			return below, nil
		}
	}
	found, err := t.torrent(ctx, arg)
	return path.Join(found.Folder, found.Name), err
}

// isPinned is what is said of a path that is pinned.
func isPinned(p control.Path) string {
	if p.Pinned {
		return ", pinned"
	}
	return ""
}

// wait fetches what an argument names in the mount, and shows how that goes.
func (c *fetchCommand) wait(s streams) error {
	found := false
	err := c.talk(s, []string{c.Source}, func(ctx context.Context, t *talk) error {
		place, err := t.place(ctx, c.Source)
		if err != nil {
			return err
		}
		found = true
		p, err := t.pin(ctx, place, "pin")
		if err != nil {
			return err
		}
		b := newWaitBar(s.err)
		p, err = t.follow(ctx, place, p, b.show)
		b.end()
		switch {
		case errors.Is(err, context.Canceled):
			fmt.Fprintf(s.err, "bipfs: it stays pinned, and is fetched in the background; bipfs unpin ends that\n")
			return err
		case err != nil:
			return err
		}
		return t.print(p, func(w io.Writer) { fmt.Fprintf(w, "%s\t%s\n", figure.Bytes(p.Length), shown(place)) })
	})
	if err == nil || found || errors.Is(err, errInterrupted) {
		return err
	}
	// It is not opened: a path in a mount that does not answer may wait for the swarm.
	if _, no := engine.ParseLink(c.Source); no == nil || strings.HasSuffix(c.Source, ".torrent") {
		err = usagef("%w (to download it without a mount: --output DIR)", err)
	}
	return err
}

// followEvery is how often it is looked how far a path has come.
const followEvery = 250 * time.Millisecond

// errUnpinned ends a wait for what is fetched no more.
var errUnpinned = errors.New("it is pinned no more; bipfs events says why")

// follow looks at a path until all of it is here, and shows it each time.
func (t *talk) follow(ctx context.Context, place string, p control.Path, show func(control.Path)) (control.Path, error) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		switch {
		case p.Torrent.State == "unusable":
			return p, errors.New(p.Torrent.Error)
		case !p.Pinned:
			return p, errUnpinned
		}
		show(p)
		if p.Torrent.State != "resolving" && p.Here == p.Length {
			return p, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return p, ctx.Err()
		}
		if err := t.Get(ctx, "path?path="+escape(place), &p); err != nil {
			return p, err
		}
	}
}

// rateTime is how long a rate is measured for.
const rateTime = 5 * time.Second

// waitBar shows how far a path has come: a bar on one line of a terminal, or else a
// line each time that a tenth more is here.
type waitBar struct {
	w       io.Writer
	columns int      // of the terminal; 0: it is none
	seen    []sample // of the last rateTime, the oldest first
	shown   int64    // tenths, and 1
}

// eraseLine has a terminal forget what stands behind the cursor in its line.
const eraseLine = "\x1b[K"

type sample struct {
	at   time.Time
	here int64
}

func newWaitBar(w io.Writer) *waitBar {
	b := &waitBar{w: w}
	if f, ok := w.(*os.File); ok {
		b.columns = columnsOf(f)
	}
	return b
}

// columnsOf is how wide a terminal is; 0: f is none. One that does not say is taken to be
// as most are.
func columnsOf(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80
	}
	return int(size.Col)
}

func (b *waitBar) show(p control.Path) {
	now := time.Now()
	for len(b.seen) > 1 && now.Sub(b.seen[0].at) > rateTime {
		b.seen = b.seen[1:]
	}
	b.seen = append(b.seen, sample{now, p.Here})
	line := waitLine(p, b.rate())
	if b.columns > 0 { // the last one is left: some terminals go to the next line then
		fmt.Fprintf(b.w, "\r%.*s%s", b.columns-1, line, eraseLine)
		return
	}
	if tenths := 1 + p.Here*10/max(p.Length, 1); tenths > b.shown {
		b.shown = tenths
		fmt.Fprintln(b.w, line)
	}
}

// rate is in bytes a second.
func (b *waitBar) rate() float64 {
	first, last := b.seen[0], b.seen[len(b.seen)-1]
	return float64(last.here-first.here) / max(last.at.Sub(first.at).Seconds(), followEvery.Seconds())
}

func (b *waitBar) end() {
	if b.columns > 0 && len(b.seen) > 0 {
		fmt.Fprintln(b.w)
	}
}

// waitLine is a path that comes at a rate of bytes a second.
func waitLine(p control.Path, rate float64) string {
	switch t := p.Torrent; {
	case t.State == "resolving":
		return fmt.Sprintf("waiting for the metadata, %d peers", t.Peers)
	case t.State == "stopped", t.Paused && p.Here < p.Length:
		return "nothing comes: the torrent is " + state(t)
	}
	full := barWidth
	if p.Length > 0 {
		full = int(float64(p.Here) / float64(p.Length) * barWidth)
	}
	return fmt.Sprintf("[%-*s] %5s  %7.1f MB/s  %s  %d peers", barWidth, strings.Repeat("#", full),
		figure.Share(p.Here, p.Length), rate/1e6, eta(p.Length-p.Here, rate), p.Torrent.Peers)
}

// eta is how long so many bytes take.
func eta(left int64, rate float64) string {
	switch {
	case left == 0:
		return "done"
	case rate < 1:
		return "ETA -"
	}
	return "ETA " + (time.Duration(min(float64(left)/rate, 1e6)) * time.Second).String()
}
