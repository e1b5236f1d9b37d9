package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"bipfs/integration/lab/reader"
	"bipfs/integration/lab/swarm"
)

// mounted runs work on a fresh mount of a cold file.
func (l *lab) mounted(ctx context.Context, s system, c content, seeders []swarm.Manner, work func(*session) error) error {
	n, err := l.prepare(s, c, seeders)
	if n != nil {
		defer n.close()
	}
	if err != nil {
		return err
	}
	if err := n.start(); err != nil {
		return err
	}
	if err := n.listed(ctx); err != nil {
		return err
	}
	return work(n)
}

// Of the random reads. Each lies inside one piece, and no two in the same one.
const (
	seekReads = 40
	seekSize  = 64 * kib
	seekPiece = mib
)

// seekPlaces are the same in every run. The first piece is read before them.
func seekPlaces() (places []int64) {
	chance := rand.New(rand.NewPCG(40, 0))
	for _, piece := range chance.Perm(coldSize/seekPiece - 1)[:seekReads] {
		places = append(places, int64(piece+1)*seekPiece+chance.Int64N(seekPiece/seekSize)*seekSize)
	}
	return places
}

var randomReads = scenario{
	name:  "random",
	about: "40 random reads of 64 KiB in a cold file of 1 GiB, pieces of 1 MiB, 4 seeders of 4 MB/s, round trip 50 ms",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, coldSize, seekPiece)
		if err != nil {
			return nil, err
		}
		err = l.mounted(ctx, s, c, good(4, farRate*mb/4, far), func(n *session) error {
			r, err := n.read(ctx, reader.Job{Work: reader.Random, Size: seekSize, Places: seekPlaces()})
			if err != nil {
				return err
			}
			f.add("p50", quantile(r.Took, 0.5), "s")
			f.add("p99", quantile(r.Took, 0.99), "s")
			time.Sleep(settle)
			return n.spent(&f, (seekReads+1)*seekPiece)
		})
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f, limit := by["bipfs"], roundTrip.Seconds()+float64(seekPiece)/mb/farRate
		asked := float64((seekReads+1)*seekPiece) / mb
		return []row{
			{what: "random read, p50", value: f.of("p50"), unit: "s", beside: "s round trip + piece", limit: limit, atMost: true, reach: 1.3 * limit, rule: "≤ 1.3 ×"},
			{what: "random read, p99", value: f.of("p99"), unit: "s", beside: "s round trip + piece", limit: limit, atMost: true, reach: 3 * limit, rule: "≤ 3 ×"},
			{what: "sent for them", value: f.of("sent"), unit: "MB", beside: "MB the pieces", limit: asked, atMost: true, reach: 1.1 * asked, rule: "≤ + 10 %"},
		}
	},
}

// Of the player: a film that seeks to a place that was never played.
const (
	filmRate    = 8 * mb
	filmSeeks   = 5
	filmEvery   = 20 * time.Second
	filmStretch = coldSize / (filmSeeks + 1)
)

// filmSeeders are 20 MB/s of honest ones, and those that a player meets as well,
// none of them at a steady distance.
func filmSeeders() []swarm.Manner {
	all := append(good(4, 5*mb, far),
		swarm.Manner{Rate: 20_000, Delay: far},                              // crawls
		swarm.Manner{Silent: true, Delay: far},                              // never answers
		swarm.Manner{Rate: 5 * mb, Delay: far, Pauses: 3 * swarm.PauseTime}, // stalls at random
		swarm.Manner{Rate: 5 * mb, Delay: far, Corrupt: true})
	for i := range all {
		all[i].Jitter = far / 5
	}
	return all
}

// filmLiar is the place of the last of them.
const filmLiar = 7

var player = scenario{
	name:  "player",
	about: "a player at 8 MB/s for 120 s, a seek every 20 s; 4 seeders of 5 MB/s, one that crawls, one silent, one that stalls for 2 s at random, one that lies",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, coldSize, seekPiece)
		if err != nil {
			return nil, err
		}
		var places []int64
		for _, stretch := range []int64{0, 3, 1, 5, 2, 4} {
			places = append(places, stretch*(filmStretch&^(mib-1)))
		}
		err = l.mounted(ctx, s, c, filmSeeders(), func(n *session) error {
			r, err := n.read(ctx, reader.Job{Work: reader.Play, Rate: filmRate, Every: filmEvery, Places: places})
			if err != nil {
				return err
			}
			f.add("rebuffers", float64(r.Rebuffers), "")
			f.add("stood still", r.Waited, "s")
			f.add("first bytes at the start", r.Took[0], "s")
			f.add("first bytes at the slowest seek", quantile(r.Took[1:], 1), "s")
			return n.spent(&f, 0, filmLiar)
		})
		return f, err
	},
	rows: func(by map[string]figures) []row {
		f := by["bipfs"]
		return []row{
			{what: "player: rebuffers", value: f.of("rebuffers"), limit: none, atMost: true, reach: 0, rule: "0"},
			{what: "… first 256 KiB at the start", value: f.of("first bytes at the start"), unit: "s", limit: none, atMost: true, reach: 0.6, rule: "≤ 0.6 s"},
			{what: "… at the slowest seek", value: f.of("first bytes at the slowest seek"), unit: "s", limit: none, atMost: true, reach: 0.6, rule: "≤ 0.6 s"},
			wasteRow(f, 12),
		}
	},
}

// readTime is how long the readers of a shared mount read: of eight each gets 38 pieces,
// so that one more or less is not what their shares differ by.
const readTime = 20 * time.Second

// readerCounts are how many readers there are at a time.
var readerCounts = []int{1, 2, 8}

var readers = scenario{
	name:  "readers",
	about: "one, two and eight readers at different places of a cold file of 1 GiB, 4 seeders of 4 MB/s, round trip 50 ms, 20 s each",
	kinds: []kind{mounts},
	alone: true,
	run: func(ctx context.Context, l *lab, s system) (f figures, err error) {
		c, err := l.file(ctx, coldSize, seekPiece)
		if err != nil {
			return nil, err
		}
		for _, count := range readerCounts {
			var places []int64
			for i := range count {
				places = append(places, int64(i)*coldSize/int64(count))
			}
			err = l.mounted(ctx, s, c, good(4, farRate*mb/4, far), func(n *session) error {
				r, err := n.read(ctx, reader.Job{Work: reader.Many, Places: places, Every: readTime})
				if err != nil {
					return err
				}
				least, most := r.Shares[0], r.Shares[0]
				for _, share := range r.Shares {
					least, most = min(least, share), max(most, share)
				}
				f.add(fmt.Sprintf("sum of %d", count), float64(r.Bytes)/mb/readTime.Seconds(), "MB/s")
				f.add(fmt.Sprintf("least of %d", count), float64(least)/mb/readTime.Seconds(), "MB/s")
				f.add(fmt.Sprintf("most of %d", count), float64(most)/mb/readTime.Seconds(), "MB/s")
				all, err := n.sent()
				f.add(fmt.Sprintf("sent twice for %d", count), float64(total(all).Twice)/float64(total(all).Bytes)*100, "%")
				return err
			})
			if err != nil {
				return f, fmt.Errorf("%d readers: %w", count, err)
			}
		}
		return f, nil
	},
	rows: func(by map[string]figures) (all []row) {
		f := by["bipfs"]
		one := f.of("sum of 1")
		for _, count := range readerCounts[1:] {
			of := fmt.Sprintf(" of %d", count)
			all = append(all,
				row{what: fmt.Sprintf("%d readers: sum", count), value: f.of("sum" + of), unit: "MB/s", beside: "MB/s one reader", limit: one, reach: 0.95 * one, rule: "≥ 0.95 ×"},
				row{what: fmt.Sprintf("%d readers: least share", count), value: f.of("least" + of), unit: "MB/s", beside: "MB/s the most", limit: f.of("most" + of), reach: 0.9 * f.of("most"+of), rule: "≥ 0.9 ×"},
				row{what: fmt.Sprintf("%d readers: sent twice", count), value: f.of("sent twice for" + fmt.Sprint(" ", count)), unit: "%", limit: none, atMost: true, reach: 5, rule: "≤ 5 %"})
		}
		return all
	},
}
