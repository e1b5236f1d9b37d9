package swarm

import (
	"bufio"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"bipfs/wire"
	"bipfs/wire/extension"
)

// longestMessage is the length of the longest that a client sends: a bitfield.
const longestMessage = 1 << 20

// maxQueue is how many requests of one connection are kept; what is over it is
// rejected or lost.
const maxQueue = 4096

// burst is how many blocks go out in one write where nothing limits them.
const burst = 16

// conn is a connection that has shaken hands. Its own goroutine listens; another
// one talks.
type conn struct {
	seeder  *seeder
	torrent *torrent
	socket  net.Conn
	r       *bufio.Reader
	fast    bool // they speak BEP 6

	wake       chan struct{} // one token: there is something to say
	mu         sync.Mutex
	said       []byte       // what goes out next, ahead of blocks
	queue      []wire.Block // what was asked
	unchoked   bool
	metadataID uint8 // by which they want ut_metadata; 0: not at all
	ended      bool
}

func (c *conn) serve() {
	var wg sync.WaitGroup
	wg.Go(c.talk)
	c.wake <- struct{}{}
	for {
		m, err := wire.ReadHead(c.r, longestMessage)
		if err != nil || !c.heard(m) {
			break
		}
	}
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.ring()
	c.socket.Close()
	wg.Wait()
}

func (c *conn) ring() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// heard takes one message in; false: the connection has ended.
func (c *conn) heard(m wire.Message) bool {
	if m.Kind == wire.Extended && m.Payload <= extension.MaxPayload {
		b := make([]byte, m.Payload)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return false
		}
		c.extended(m.ID, b)
		return true
	}
	if _, err := c.r.Discard(int(m.Payload)); err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.Kind {
	case wire.Interested:
		if !c.unchoked {
			c.unchoked = true
			c.say(wire.Message{Kind: wire.Unchoke})
		}
	case wire.Request:
		c.seeder.sent.requests.Add(1)
		switch {
		case !c.torrent.has(m.Block()) || len(c.queue) == maxQueue:
			c.reject(m.Block())
		default:
			c.queue = append(c.queue, m.Block())
			c.ring()
		}
	case wire.Cancel:
		c.seeder.sent.cancels.Add(1)
		if i := slices.Index(c.queue, m.Block()); i >= 0 {
			c.queue = slices.Delete(c.queue, i, i+1)
			c.reject(m.Block())
		}
	}
	return true
}

// reject says that a request is not answered, to who understands it. A seeder
// that is silent does not say even that.
func (c *conn) reject(b wire.Block) {
	if c.fast && !c.seeder.silent() {
		c.say(wire.Of(wire.Reject, b))
	}
}

// say appends to what is said next.
func (c *conn) say(m wire.Message) {
	c.said = wire.Append(c.said, m)
	c.ring()
}

func (c *conn) extended(id uint8, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch id {
	case extension.HandshakeID:
		if h, err := extension.ParseHandshake(b); err == nil {
			c.metadataID = h.M[extension.UTMetadata]
		}
	case metadataID:
		m, err := extension.ParseMetadata(b)
		if err != nil || m.Type != extension.MetadataRequest || c.metadataID == 0 || c.seeder.Silent {
			return
		}
		payload := c.torrent.metadata(m.Piece).Append(nil)
		c.said = wire.Append(c.said, wire.Message{Kind: wire.Extended, ID: c.metadataID, Payload: uint32(len(payload))})
		c.said = append(c.said, payload...)
		c.ring()
	}
}

// talk sends what there is to say, and the blocks of the queue in their order,
// each when the link has its turn for it.
func (c *conn) talk() {
	defer c.socket.Close() // the listening side notices
	idle := true
	for {
		said, asked, ended := c.next()
		switch {
		case ended:
			return
		case len(said) > 0:
			if _, err := c.socket.Write(said); err != nil {
				return
			}
		case !asked || c.seeder.silent():
			idle = true
			select {
			case <-c.wake:
			case <-c.seeder.swarm.ctx.Done():
				return
			}
		default:
			now := time.Now()
			if at := c.seeder.link.turn(now, idle); at.After(now) {
				if !c.seeder.swarm.sleep(at) {
					return
				}
				idle = false
				continue // something may have been said or cancelled meanwhile
			}
			idle = false
			if !c.send() {
				return
			}
		}
	}
}

// next is what may be sent now.
func (c *conn) next() (said []byte, asked, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	said, c.said = c.said, nil
	return said, len(c.queue) > 0, c.ended
}

// send sends the first block of the queue, or a burst of them.
func (c *conn) send() bool {
	n := 1
	if c.seeder.Rate == 0 {
		n = burst
	}
	c.mu.Lock()
	n = min(n, len(c.queue))
	blocks := slices.Clone(c.queue[:n])
	c.queue = slices.Delete(c.queue, 0, n)
	c.mu.Unlock()
	var v net.Buffers
	for _, b := range blocks {
		v = append(v, wire.Append(make([]byte, 0, wire.HeadSize), wire.Of(wire.PieceBlock, b)), c.bytes(b))
		s := &c.seeder.sent
		s.bytes.Add(int64(b.Length))
		if c.torrent.again(b) {
			s.twice.Add(int64(b.Length))
		}
		if !c.seeder.swarm.sleep(c.seeder.link.take(int(b.Length))) {
			return false
		}
	}
	return c.write(v) == nil
}

// bytes is the block as this seeder sends it.
func (c *conn) bytes(b wire.Block) []byte {
	right := c.torrent.block(b)
	if !c.seeder.Corrupt {
		return right
	}
	wrong := slices.Clone(right)
	wrong[len(wrong)/2] ^= 0x55
	return wrong
}

func (c *conn) write(v net.Buffers) error {
	switch s := c.socket.(type) {
	case *net.TCPConn:
		_, err := v.WriteTo(s)
		return err
	case interface {
		WriteBuffers(*net.Buffers) (int64, error)
	}:
		_, err := s.WriteBuffers(&v)
		return err
	}
	_, err := c.socket.Write(slices.Concat(v...))
	return err
}
