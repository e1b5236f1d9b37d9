// Package swarm is the far side of the laboratory: a tracker and scripted
// seeders in one process, of which the near side knows nothing but their
// addresses.
//
//	client ──announce──▶ tracker ──▶ the addresses of all seeders
//	   │
//	   └──connect──▶ line ──▶ conn ──requests──▶ queue ──▶ link ──▶ line ──▶ client
//	                 delay,    handshakes,        what is    rate,   delay,
//	                 jitter    metadata           asked      pauses  jitter
//
// What a network does to a packet is done here in process, so that it needs no
// module of the kernel and is the same on every machine: a line holds bytes back
// both ways, and the answer to a connect as well; a link has a rate, of all
// connections of its seeder together. Slow start and loss are not played.
//
// A seeder speaks BEP 3, 6, 9, 10 and the encrypted handshake, prefers plain, and
// says at once that it has no uTP.
package swarm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Manner is how a seeder behaves; the zero Manner is a good one without limits.
type Manner struct {
	Rate      int64         // bytes of blocks a second; 0: no limit
	Delay     time.Duration // one way
	Jitter    time.Duration // at most so much more, each way
	Silent    bool          // takes requests and never answers
	StopAfter int64         // bytes after which it is Silent; 0: never
	Pauses    time.Duration // the mean time between pauses of PauseTime; 0: none
	Corrupt   bool          // each block has one wrong byte
}

// PauseTime is how long a seeder that pauses is silent.
const PauseTime = 2 * time.Second

// A Seeder is a Manner at an address.
type Seeder struct {
	Address string // HOST:PORT
	Manner
}

// Content is a torrent and its bytes, all files behind each other, in one file.
type Content struct {
	Torrent, Image string
}

// Plan is a swarm.
type Plan struct {
	Tracker      string // HOST:PORT of its HTTP tracker
	TrackerDelay time.Duration
	Seeders      []Seeder
	Contents     []Content
	Chance       uint64 // the seed of all that is random
}

// Sent is what a seeder has done so far.
type Sent struct {
	Bytes     int64 // of blocks
	Requests  int64
	Cancels   int64
	Twice     int64 // bytes of blocks that this swarm had sent before
	Connected int64 // connections that got as far as a handshake
}

// Serve is the life of a swarm: it reads the plan from in, as a line of JSON,
// writes "ready", and then for each further line the Sent of each seeder as a line
// of JSON. It ends with in.
func Serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return errors.New("no plan")
	}
	var p Plan
	if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
		return fmt.Errorf("the plan: %w", err)
	}
	s, err := open(p)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintln(out, "ready")
	answers := json.NewEncoder(out)
	for lines.Scan() {
		all := make([]Sent, len(s.seeders))
		for i, one := range s.seeders {
			all[i] = one.sent.load()
		}
		if err := answers.Encode(all); err != nil {
			return err
		}
	}
	return lines.Err()
}

// swarm is an open Plan.
type swarm struct {
	wg       sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
	torrents map[[20]byte]*torrent
	seeders  []*seeder
	doors    []io.Closer // listeners
}

func open(p Plan) (s *swarm, err error) {
	s = &swarm{torrents: make(map[[20]byte]*torrent)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, c := range p.Contents {
		t, err := openTorrent(c)
		if err != nil {
			return s, err
		}
		s.torrents[t.infohash] = t
	}
	for i, one := range p.Seeders {
		e := newSeeder(s, one, p.Chance, i)
		s.seeders = append(s.seeders, e)
		if err := e.listen(); err != nil {
			return s, err
		}
	}
	return s, s.track(p)
}

// listen accepts connections and hands each to a goroutine of its own.
func (s *swarm) listen(address string, handle func(net.Conn)) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	s.doors = append(s.doors, l)
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer context.AfterFunc(s.ctx, func() { c.Close() })()
				defer c.Close()
				handle(c)
			})
		}
	})
	return nil
}

func (s *swarm) close() {
	s.stop()
	for _, d := range s.doors {
		d.Close()
	}
	s.wg.Wait()
	for _, t := range s.torrents {
		t.close()
	}
}

// sleep waits until at; false: the swarm ends.
func (s *swarm) sleep(at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
