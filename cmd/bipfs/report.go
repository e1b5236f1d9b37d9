package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine/control"
)

// The commands that tell of a running mount.

// statusCommand is `bipfs status`.
type statusCommand struct {
	What string `arg:"" optional:"" help:"A torrent (infohash, magnet link), or a path in the mount; without it, the mount itself."`
	talkFlags
}

// Run tells.
func (c *statusCommand) Run(s streams) error {
	return c.talk(s, []string{c.What}, func(ctx context.Context, t *talk) error {
		if c.What == "" {
			return t.print(t.Status, func(w io.Writer) { statusLines(w, t.Status) })
		}
		found, err := t.torrent(ctx, c.What)
		if err != nil {
			return err
		}
		p, err := t.path(ctx, c.What)
		if err != nil { // it was named by its infohash
			p = control.Path{Torrent: found, Kind: "directory", Length: found.Length, Here: found.Here}
		}
		return t.print(p, func(w io.Writer) {
			torrentLines(w, p.Torrent)
			if p.Path != "" {
				fmt.Fprintf(w, "path\t%s, a %s%s\nof it here\t%s of %s (%s)\n", shown(p.Path), p.Kind, isPinned(p), figure.Bytes(p.Here), figure.Bytes(p.Length), figure.Share(p.Here, p.Length))
			}
		})
	})
}

func statusLines(w io.Writer, s control.Status) {
	mount := "none"
	if s.Mountpoint != "" {
		mount = shown(s.Mountpoint)
	}
	fmt.Fprintf(w, "mount\t%s\ndata\t%s\nversion\t%s, api %d\npid\t%d, since %s\n", mount, shown(s.Data), s.Version, s.API, s.PID, s.Started.Local().Format(time.DateTime))
	fmt.Fprintf(w, "torrents\t%d\npeers\t%d\n", s.Torrents, s.Peers)
	fmt.Fprintf(w, "downloaded\t%s\nuploaded\t%s\nfree to store\t%s\n", figure.Bytes(s.Downloaded), figure.Bytes(s.Uploaded), figure.Bytes(s.Free))
	if words := limitWords(s.DownLimit, s.UpLimit, s.BackgroundLimit); words != "" {
		fmt.Fprintf(w, "limits\t%s\n", words)
	}
	if s.HTTPURL != "" {
		fmt.Fprintf(w, "page\t%s\n", s.HTTPURL)
	}
	if !s.Storing {
		fmt.Fprintln(w, "store\tfull: reads go on from memory and the network")
	}
}

func torrentLines(w io.Writer, t control.Torrent) {
	fmt.Fprintf(w, "name\t%s\ninfohash\t%s\nstate\t%s\n", shown(t.Name), t.Infohash, state(t))
	if t.Folder != "" {
		fmt.Fprintf(w, "folder\t%s\n", shown(t.Folder))
	}
	fmt.Fprintf(w, "here\t%s of %s (%s)\nfiles\t%d\npieces\t%d of %s\n", figure.Bytes(t.Here), figure.Bytes(t.Length), figure.Share(t.Here, t.Length), t.Files, t.Pieces, figure.Bytes(t.PieceLength))
	fmt.Fprintf(w, "peers\t%d connected, %d known\ndownloaded\t%s\nuploaded\t%s\n", t.Peers, t.Known, figure.Bytes(t.Downloaded), figure.Bytes(t.Uploaded))
	fmt.Fprintf(w, "added\t%s\n", t.Added.Local().Format(time.DateTime))
	for name, urls := range map[string][]string{"trackers": t.Trackers, "web seeds": t.WebSeeds} {
		if len(urls) > 0 {
			fmt.Fprintf(w, "%s\t%s\n", name, shown(strings.Join(urls, " ")))
		}
	}
	if words := limitWords(t.DownLimit, t.UpLimit); words != "" {
		fmt.Fprintf(w, "limits\t%s\n", words)
	}
	if t.Error != "" {
		fmt.Fprintf(w, "error\t%s\n", shown(t.Error))
	}
}

// peersCommand is `bipfs peers`.
type peersCommand struct {
	Torrent string `arg:"" help:"Infohash or its first digits, magnet link, or a path in the mount."`
	talkFlags
}

// Run lists the peers.
func (c *peersCommand) Run(s streams) error {
	return c.talk(s, []string{c.Torrent}, func(ctx context.Context, t *talk) error {
		found, err := t.torrent(ctx, c.Torrent)
		if err != nil {
			return err
		}
		var all control.PeerList
		if err := t.Get(ctx, "torrents/"+found.Infohash+"/peers", &all); err != nil {
			return err
		}
		return t.print(all, func(w io.Writer) { peerLines(w, all.Peers) })
	})
}

func peerLines(w io.Writer, all []control.Peer) {
	fmt.Fprintln(w, "ADDRESS\tOVER\tFROM\tHAS\tDOWN\tUP\tCAN\tCLIENT")
	for _, p := range all {
		over := p.Transport
		if p.Encrypted {
			over += ", encrypted"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s/s\t%s\n", shown(p.Address), over, p.Source, p.Pieces, figure.Bytes(p.Downloaded), figure.Bytes(p.Uploaded), figure.Bytes(p.Rate), shown(p.Client))
	}
}

// whyCommand is `bipfs why`.
type whyCommand struct {
	Path string `arg:"" help:"A path in the mount: a file, a folder, or a torrent."`
	talkFlags
}

// Run tells.
func (c *whyCommand) Run(s streams) error {
	return c.talk(s, []string{c.Path}, func(ctx context.Context, t *talk) error {
		below, err := t.below(c.Path)
		if err != nil {
			return err
		}
		var why control.Why
		if err := t.Get(ctx, "why?path="+escape(below), &why); err != nil {
			return err
		}
		return t.print(why, func(w io.Writer) {
			for _, line := range whyLines(why) {
				fmt.Fprintln(w, line)
			}
		})
	})
}

// whyLines says it for people: the reason that they can do something about first.
func whyLines(w control.Why) (lines []string) {
	switch {
	case w.State == "stopped":
		lines = append(lines, "the torrent is stopped: bipfs start lets it have peers")
	case w.Paused:
		lines = append(lines, "the torrent is paused: bipfs resume lets it transfer")
	case w.State == "resolving":
		lines = append(lines, "the metadata is not here yet")
	case w.State == "unusable":
		lines = append(lines, "the metadata cannot be used: bipfs status says why")
	}
	if len(w.Waits) == 0 {
		return append(lines, "no read waits for the swarm")
	}
	for i := 0; i < len(w.Waits); i++ {
		o, first := w.Waits[i], i
		for i+1 < len(w.Waits) && alike(w.Waits[i], w.Waits[i+1]) {
			i++
		}
		line := fmt.Sprintf("piece %d: %d of %d peers have it, %d s", o.Piece, o.Have, o.Peers, o.Seconds)
		if i > first {
			line = fmt.Sprintf("pieces %d to %d: %d of %d peers have each, %d s", o.Piece, w.Waits[i].Piece, o.Have, o.Peers, o.Seconds)
		}
		for _, part := range []struct {
			n    int
			text string
		}{{o.Choking, "choke us"}, {o.Silent, "are silent"}, {o.Asked, "are asked"}} {
			if part.n > 0 {
				line += fmt.Sprintf(", %d %s", part.n, part.text)
			}
		}
		if len(o.By) > 0 {
			line += " (" + shown(strings.Join(o.By, ", ")) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// alike reports whether the same is to be said of two pieces, and b follows a.
func alike(a, b control.Wait) bool {
	if a.Piece+1 != b.Piece || !slices.Equal(a.By, b.By) {
		return false
	}
	b.Piece, a.By, b.By = a.Piece, nil, nil
	return reflect.DeepEqual(a, b)
}

// eventsCommand is `bipfs events`.
type eventsCommand struct {
	Follow bool   `short:"f" help:"Go on with what happens from now on, until Ctrl-C."`
	Since  uint64 `help:"Only what came after the event with this number." placeholder:"SEQ"`
	talkFlags
}

// Run prints one line for each event.
func (c *eventsCommand) Run(s streams) error {
	return c.talk(s, nil, func(ctx context.Context, t *talk) error {
		return t.Events(ctx, c.Since, c.Follow, func(e control.Event, line []byte) error {
			if t.json {
				_, err := fmt.Fprintf(t.out, "%s\n", line)
				return err
			}
			_, err := fmt.Fprintln(t.out, eventLine(e))
			return err
		})
	})
}

// eventLine is an event for people.
func eventLine(e control.Event) string {
	parts := []string{fmt.Sprint(e.Seq), e.Time.Local().Format(time.TimeOnly), e.Event}
	name := path.Join(e.Folder, e.Name)
	if e.Path != "" {
		name = e.Path
	}
	for _, s := range []string{name, e.Peer, e.Tracker, e.Error} {
		if s != "" {
			parts = append(parts, shown(s))
		}
	}
	if e.Missed > 0 {
		parts = append(parts, fmt.Sprintf("%d events are not known any more", e.Missed))
	}
	return strings.Join(parts, "  ")
}

// marshal is v as JSON; v is a struct of ours.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
