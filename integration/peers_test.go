package integration

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
)

// A manner is how a scripted peer behaves; the zero manner is a good seeder.
type manner struct {
	addr    string // to listen on, without a port; empty: 127.0.0.1
	rate    int64  // bytes of blocks a second over all connections; 0: all that it can
	silent  bool   // unchokes, and never sends a block
	choking bool   // never unchokes
	corrupt bool   // flips a bit in each block
	stallAt int64  // sends no block after so many bytes; 0: never
	strict  bool   // saves nothing of its rate while nobody asks
}

// A peer is a scripted seeder of single-file torrents on the loopback device.
// It counts what it is asked and what it sends.
type peer struct {
	manner
	addr    string
	ln      net.Listener
	files   map[wire.Digest]*shared
	opened  atomic.Int64 // connections with a whole handshake, ever
	open    atomic.Int64 // connections now
	asked   atomic.Int64 // requests
	sent    atomic.Int64 // bytes of blocks
	began   atomic.Int64 // connections of any kind, ever
	pace    sync.Mutex
	next    time.Time // when the rate allows the next block
	mu      sync.Mutex
	conns   map[net.Conn]bool
	serving sync.WaitGroup
}

type shared struct {
	info *metainfo.Info
	f    *os.File // nil: nothing is ever sent
}

// scripted starts a peer; it ends with the test.
func scripted(t testing.TB, m manner, seeds ...*torrent) *peer {
	t.Helper()
	if m.addr == "" {
		m.addr = "127.0.0.1"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(m.addr, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{manner: m, addr: ln.Addr().String(), ln: ln, files: make(map[wire.Digest]*shared), conns: make(map[net.Conn]bool)}
	for _, to := range seeds {
		s := &shared{info: to.Info}
		if to.content != "" {
			if s.f, err = os.Open(to.content); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.f.Close() })
		}
		p.files[to.Info.Hash] = s
	}
	p.serving.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

func (p *peer) accept() {
	defer p.serving.Done()
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.began.Add(1)
		p.mu.Lock()
		p.conns[conn] = true
		p.mu.Unlock()
		p.serving.Add(1)
		go func() {
			defer p.serving.Done()
			p.serve(conn)
			conn.Close()
			p.mu.Lock()
			delete(p.conns, conn)
			p.mu.Unlock()
		}()
	}
}

// close ends the peer and joins all that it runs.
func (p *peer) close() {
	p.ln.Close()
	p.mu.Lock()
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// serve is the life of a connection.
func (p *peer) serve(conn net.Conn) {
	const greeting = "\x13BitTorrent protocol"
	var hello [68]byte
	r := bufio.NewReaderSize(conn, 16<<10)
	if _, err := io.ReadFull(r, hello[:]); err != nil || string(hello[:20]) != greeting {
		return
	}
	s := p.files[wire.Digest(hello[28:48])]
	if s == nil {
		return
	}
	answer := append([]byte(greeting), make([]byte, 8)...)
	answer = append(answer, s.info.Hash[:]...)
	answer = append(answer, ("-XX0001-" + p.addr + "............")[:20]...)
	have := wire.FullBitfield(s.info.Pieces())
	answer = wire.Append(answer, wire.Message{Kind: wire.HaveBitfield, Payload: uint32(len(have))})
	if _, err := conn.Write(append(answer, have...)); err != nil {
		return
	}
	p.opened.Add(1)
	p.open.Add(1)
	defer p.open.Add(-1)
	q := &queue{news: make(chan struct{}, 1), over: make(chan struct{})}
	sending := make(chan struct{})
	go func() {
		defer close(sending)
		defer conn.Close()
		p.send(conn, s, q)
	}()
	p.listen(r, q)
	close(q.over)
	conn.Close()
	<-sending
}

// listen reads what the other side says until it goes.
func (p *peer) listen(r *bufio.Reader, q *queue) {
	for {
		m, err := wire.ReadHead(r, 1<<20)
		if err != nil {
			return
		}
		if _, err := r.Discard(int(m.Payload)); err != nil {
			return
		}
		switch m.Kind {
		case wire.Interested:
			q.add(wire.Message{Kind: wire.Unchoke})
		case wire.Request:
			p.asked.Add(1)
			q.add(m)
		case wire.Cancel:
			q.cancel(m.Block())
		}
	}
}

// send answers what is queued, until the connection is over.
func (p *peer) send(conn net.Conn, s *shared, q *queue) {
	var b []byte
	for {
		m, ok := q.take()
		if !ok {
			return
		}
		switch {
		case m.Kind == wire.Unchoke && p.choking:
			continue
		case m.Kind == wire.Unchoke:
			b = wire.Append(b[:0], m)
		case p.silent, s.f == nil, p.stallAt > 0 && p.sent.Load() >= p.stallAt:
			continue
		default:
			b = wire.Append(b[:0], wire.Of(wire.PieceBlock, m.Block()))
			head := len(b)
			b = slices.Grow(b, int(m.Length))[:head+int(m.Length)]
			if _, err := s.f.ReadAt(b[head:], s.info.Offset(m.Piece, m.Begin)); err != nil {
				return
			}
			if p.corrupt {
				b[head+int(m.Length)/2] ^= 1
			}
			if !p.wait(int64(m.Length), q.over) {
				return
			}
			p.sent.Add(int64(m.Length))
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// wait waits until the rate allows n more bytes.
func (p *peer) wait(n int64, over <-chan struct{}) bool {
	if p.rate == 0 {
		return true
	}
	p.pace.Lock()
	// What a late timer has lost may be made up for, or the rate is never
	// reached.
	earliest := time.Now()
	if !p.strict {
		earliest = earliest.Add(-50 * time.Millisecond)
	}
	if p.next.Before(earliest) {
		p.next = earliest
	}
	at := p.next
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	p.pace.Unlock()
	select {
	case <-time.After(time.Until(at)):
		return true
	case <-over:
		return false
	}
}

// queue is what a connection still has to answer.
type queue struct {
	mu   sync.Mutex
	list []wire.Message
	news chan struct{}
	over chan struct{}
}

func (q *queue) add(m wire.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.list = append(q.list, m); len(q.list) > 1<<16 {
		panic(errors.New("bipfs asks for more than 65536 blocks at once"))
	}
	select {
	case q.news <- struct{}{}:
	default:
	}
}

func (q *queue) cancel(b wire.Block) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = slices.DeleteFunc(q.list, func(m wire.Message) bool { return m.Kind == wire.Request && m.Block() == b })
}

func (q *queue) take() (wire.Message, bool) {
	for {
		q.mu.Lock()
		if len(q.list) > 0 {
			m := q.list[0]
			q.list = q.list[1:]
			q.mu.Unlock()
			return m, true
		}
		q.mu.Unlock()
		select {
		case <-q.news:
		case <-q.over:
			return wire.Message{}, false
		}
	}
}

// peerFlags are the flags that make bipfs try the peers.
func peerFlags(peers ...*peer) (flags []string) {
	for _, p := range peers {
		flags = append(flags, "--peer", p.addr)
	}
	return flags
}
