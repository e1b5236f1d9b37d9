package main

import (
	"context"
	"fmt"
	"time"

	"bipfs/integration/lab/reader"
	"bipfs/integration/lab/swarm"
)

// firstSize is how much is read from the start of a file.
const firstSize = 64 * kib

// coldSize is the file that little is read of.
const coldSize = 1024 * mib

// pieceLengths are those that the first bytes are measured with.
var pieceLengths = []int64{256 * kib, mib, 4 * mib, 16 * mib}

// settle is how long a swarm is given to send what was asked of it, before it is
// asked what it has sent.
const settle = 500 * time.Millisecond

// first is the time from the start of a client to the first bytes of a file.
func (l *lab) first(ctx context.Context, s system, piece int64, magnet bool, seeders []swarm.Manner, f *figures) error {
	c, err := l.file(ctx, coldSize, piece)
	if err != nil {
		return err
	}
	n, err := l.prepare(s, c, seeders)
	if n != nil {
		defer n.close()
	}
	if err != nil {
		return err
	}
	if magnet {
		n.source = c.magnet
	}
	// The reader waits for the file before there is a mount.
	j := reader.Job{Work: reader.First, Size: firstSize}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		reader.Result
		err error
	}
	answers := make(chan answer, 1)
	l.wg.Go(func() {
		r, err := n.read(ctx, j)
		answers <- answer{r, err}
	})
	time.Sleep(settle) // the reader looks for the file by now
	err = n.start()
	if err != nil {
		cancel()
	}
	a := <-answers
	if err != nil || a.err != nil {
		return firstOf(err, a.err)
	}
	time.Sleep(settle)
	name := label(piece)
	f.add("first bytes, "+name, float64(a.Ended-n.client.began.UnixNano())/1e9-l.null, "s")
	all, err := n.sent()
	if err != nil {
		return err
	}
	f.add("sent, "+name, float64(total(all).Bytes)/mb, "MB")
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// label is a length as people say it.
func label(n int64) string {
	if n < mib {
		return fmt.Sprintf("%d KiB", n/kib)
	}
	return fmt.Sprintf("%d MiB", n/mib)
}

// firsts measures all piece lengths.
func firsts(seeders []swarm.Manner) func(context.Context, *lab, system) (figures, error) {
	return func(ctx context.Context, l *lab, s system) (f figures, err error) {
		for _, piece := range pieceLengths {
			if err := l.first(ctx, s, piece, false, seeders, &f); err != nil {
				return f, fmt.Errorf("pieces of %s: %w", label(piece), err)
			}
		}
		return f, nil
	}
}

// Round trips before the first block: two to the tracker (connect, ask), three to
// a peer (connect, handshake, request).
const (
	roundTrip    = 2 * far
	trackerTrips = 2
	peerTrips    = 3
	firstRate    = 8 // MB/s of all seeders
)

// least is the limit of the first bytes, in seconds.
func least(piece int64, moreTrips int) float64 {
	return float64(trackerTrips+peerTrips+moreTrips)*roundTrip.Seconds() + float64(piece)/mb/firstRate
}

// sentRow holds what was sent against the piece that was asked for.
func sentRow(f figures, piece int64) row {
	asked := float64(piece) / mb
	return row{what: "sent for it, pieces of " + label(piece), value: f.of("sent, " + label(piece)), unit: "MB", beside: "MB the piece", limit: asked,
		atMost: true, reach: 1.1 * asked, rule: "≤ + 10 %"}
}

var firstFar = scenario{
	name:  "first-far",
	about: "first 64 KiB from the start of the client, .torrent, pieces of 256 KiB to 16 MiB, 4 seeders of 2 MB/s, round trip 50 ms",
	kinds: []kind{mounts},
	alone: true,
	run:   firsts(good(4, firstRate*mb/4, far)),
	rows: func(by map[string]figures) (all []row) {
		f := by["bipfs"]
		for _, piece := range pieceLengths {
			limit := least(piece, 0)
			all = append(all,
				row{what: "first 64 KiB, pieces of " + label(piece), value: f.of("first bytes, " + label(piece)), unit: "s", beside: "s tracker + 3 round trips + piece",
					limit: limit, atMost: true, reach: 1.2*limit + 0.05, rule: "≤ 1.2 × + 50 ms"},
				sentRow(f, piece))
		}
		return all
	},
}

var firstNear = scenario{
	name:  "first-near",
	about: "first 64 KiB from the start of the client, .torrent, pieces of 256 KiB to 16 MiB, 4 unlimited seeders; beside the other mount",
	kinds: []kind{mounts},
	run:   firsts(good(4, 0, 0)),
	rows: func(by map[string]figures) (all []row) {
		f, other := by["bipfs"], by["btfs"]
		for _, piece := range pieceLengths {
			limit := other.of("first bytes, " + label(piece))
			all = append(all,
				row{what: "first 64 KiB, pieces of " + label(piece), value: f.of("first bytes, " + label(piece)), unit: "s", beside: "s btfs",
					limit: limit, atMost: true, reach: 0.7 * limit, rule: "≤ 0.7 ×"},
				sentRow(f, piece))
		}
		return all
	},
}

// metadataTrips is the round trips of a magnet link that a .torrent does not need.
const metadataTrips = 2

var magnetFar = scenario{
	name:  "magnet-far",
	about: "first 64 KiB from a magnet link, pieces of 1 MiB, 4 seeders of 2 MB/s, round trip 50 ms",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		err = l.first(ctx, s, mib, true, good(4, firstRate*mb/4, far), &f)
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f, limit := by["bipfs"], least(mib, metadataTrips)
		return []row{
			{what: "first 64 KiB from a magnet link", value: f.of("first bytes, 1 MiB"), unit: "s", beside: "s tracker + 5 round trips + piece",
				limit: limit, atMost: true, reach: 1.3*limit + 0.1, rule: "≤ 1.3 × + 100 ms"},
			sentRow(f, mib),
		}
	},
}
