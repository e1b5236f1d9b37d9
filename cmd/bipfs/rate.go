package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"bipfs/engine"
	"bipfs/engine/control"
)

// Rate is bytes a second given on the command line; 0 is no limit.
type Rate int64

// ParseRate reads a rate: a size, a second of which may be said: 5MB/s. 0 and off are
// no limit.
func ParseRate(s string) (Rate, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	size := s
	if n := len(s) - len("/s"); n > 0 && strings.EqualFold(s[n:], "/s") {
		size = s[:n]
	}
	n, err := ParseSize(size)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a rate, as 5MB/s or off: %w", shortened(s), err)
	case n != 0 && n < engine.LeastRate:
		return 0, fmt.Errorf("%q is too little: at least %v/s, or off", shortened(s), Size(engine.LeastRate))
	}
	return Rate(n), nil
}

// String is the rate; ParseRate reads it back.
func (r Rate) String() string {
	if r == 0 {
		return "off"
	}
	return Size(r).String() + "/s"
}

// UnmarshalText is ParseRate, for flags.
func (r *Rate) UnmarshalText(text []byte) error {
	n, err := ParseRate(string(text))
	if err == nil {
		*r = n
	}
	return err
}

// limitCommand is `bipfs limit`.
type limitCommand struct {
	Torrent    string `arg:"" optional:"" help:"Infohash or its first digits, magnet link, or a path in the mount; without it, all torrents together."`
	Down       *Rate  `help:"Blocks that come; off: no limit." placeholder:"RATE"`
	Up         *Rate  `help:"Blocks that are sent." placeholder:"RATE"`
	Background *Rate  `help:"Blocks that come and nobody waits for, as what is pinned; of all torrents together." placeholder:"RATE"`
	talkFlags
}

// Run changes limits, or prints those that there are.
func (c *limitCommand) Run(s streams) error {
	if c.Torrent != "" && c.Background != nil {
		return usagef("--background is for all torrents together")
	}
	return c.talk(s, []string{c.Torrent}, func(ctx context.Context, t *talk) error {
		if c.Torrent == "" {
			now := t.Status
			if err := c.change(ctx, t, "limits", &now); err != nil {
				return err
			}
			return t.print(now, func(w io.Writer) { limitLines(w, now.DownLimit, now.UpLimit, now.BackgroundLimit) })
		}
		now, err := t.torrent(ctx, c.Torrent)
		if err == nil {
			err = c.change(ctx, t, "torrents/"+now.Infohash+"/limits", &now)
		}
		if err != nil {
			return err
		}
		return t.print(now, func(w io.Writer) { limitLines(w, now.DownLimit, now.UpLimit) })
	})
}

// change sends what is to be changed, if anything is.
func (c *limitCommand) change(ctx context.Context, t *talk, path string, into any) error {
	l := control.Limits{Down: (*int64)(c.Down), Up: (*int64)(c.Up), Background: (*int64)(c.Background)}
	if l == (control.Limits{}) {
		return nil
	}
	return t.Do(ctx, http.MethodPost, path, "application/json", marshal(l), into)
}

// limitLines are limits for people: down, up, and maybe background.
func limitLines(w io.Writer, limits ...int64) {
	for i, n := range limits {
		fmt.Fprintf(w, "%s\t%v\n", []string{"down", "up", "background"}[i], Rate(n))
	}
}

// limitWords are limits as a part of a line; "" if there are none.
func limitWords(limits ...int64) string {
	var words []string
	for i, n := range limits {
		if n > 0 {
			words = append(words, []string{"down ", "up ", "background "}[i]+Rate(n).String())
		}
	}
	return strings.Join(words, ", ")
}
