package handshake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	ourID   = [20]byte{0: '5', 19: 'u'}
	lesser  = [20]byte{0: '1'}
	greater = [20]byte{0: '9'}
	hash    = [20]byte{1, 2, 3}
)

// world is a handshaker and a net of pipes around it.
type world struct {
	t     *testing.T
	h     *Handshaker
	start time.Time

	mu     sync.Mutex
	dials  []dialled
	open   int // dials that the world has not answered
	most   int // the most of them at once
	remote func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
	become func(ctx context.Context, c *Conn) error
	peers  []*Conn
	ended  []error
	known  bool
	twin   [20]byte // the other infohash of hash; zero if it is no hybrid
}

type dialled struct {
	addr netip.AddrPort
	at   time.Duration
}

// newWorld is a world in which every dial fails and every peer stays until its
// context ends, and nothing is encrypted.
func newWorld(t *testing.T, l Limits) *world { return newWorldOf(t, l, ourID, Off) }

func newWorldOf(t *testing.T, l Limits, id [20]byte, e Encryption) *world {
	w := &world{t: t, known: true, start: time.Now()}
	w.remote = func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errors.New("refused") }
	w.become = func(ctx context.Context, c *Conn) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	w.h = New(Config{
		PeerID: id, Reserved: Reserved, Limits: l, Seed: 1, Encryption: e,
		Find:  func(name [20]byte) ([20]byte, bool) { return hash, w.known && name == Obfuscate(hash) },
		Known: func(h [20]byte) bool { return w.known && (h == hash || h == w.twin && h != [20]byte{}) },
		Twins: func(h [20]byte) (Twins, bool) {
			return Twins{hash, hash, w.twin}, w.twin != [20]byte{} && (h == hash || h == w.twin)
		},
		Dial: w.dial, Become: w.live,
	})
	return w
}

func (w *world) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, dialled{addr, time.Since(w.start)})
	w.open++
	w.most = max(w.most, w.open)
	remote := w.remote
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
	}()
	return remote(ctx, addr)
}

func (w *world) live(ctx context.Context, c *Conn) error {
	w.mu.Lock()
	w.peers = append(w.peers, c)
	become := w.become
	w.mu.Unlock()
	err := become(ctx, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, err)
	return err
}

// met is how many peers there were, once all is quiet.
func (w *world) met() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.peers)
}

// tried is how many dials there were, once all is quiet.
func (w *world) tried() []dialled {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// atOnce is the most dials that there were at once, once all is quiet.
func (w *world) atOnce() int {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// end closes the handshaker and checks that nothing stands.
func (w *world) end() {
	w.t.Helper()
	w.h.Close()
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	if w.h.standing != 0 || w.h.halfOpen != 0 || len(w.h.accepted) != 0 {
		w.t.Errorf("left: %d standing, %d half-open, %d accepted", w.h.standing, w.h.halfOpen, len(w.h.accepted))
	}
}

func addr(i int) netip.AddrPort {
	return netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:6881", i/250, i%250+1))
}

func addrs(n int) (as []netip.AddrPort) {
	for i := range n {
		as = append(as, addr(i))
	}
	return as
}

// answering is the remote of peers that shake hands and go on to read; each
// has the peer ID that id gives it.
func answering(id func(netip.AddrPort) [20]byte) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			hello := make([]byte, HandshakeSize)
			if _, err := io.ReadFull(far, hello); err == nil {
				far.Write(Append(nil, Reserved, [20]byte(hello[28:]), id(a)))
				io.Copy(io.Discard, far)
			}
		}()
		return near, nil
	}
}

// byAddr makes a peer ID of an address.
func byAddr(a netip.AddrPort) (id [20]byte) {
	copy(id[:], a.String())
	return id
}

// end1 is one end of a pipe that says where it comes from.
type end1 struct {
	net.Conn
	from netip.AddrPort
}

func (e end1) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.from) }

// listener accepts what is sent to it.
type listener struct {
	conns chan net.Conn
	errs  chan error
	once  sync.Once
	done  chan struct{}
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), errs: make(chan error), done: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// connect is the far end of a socket that comes in from an address.
func (l *listener) connect(from netip.AddrPort) net.Conn {
	near, far := net.Pipe()
	l.conns <- end1{near, from}
	return far
}

// isClosed reports whether our end of the pipe is closed.
func isClosed(far net.Conn) bool {
	synctest.Wait()
	far.SetReadDeadline(time.Now().Add(time.Nanosecond))
	for {
		_, err := far.Read(make([]byte, HandshakeSize))
		if err != nil {
			return err == io.EOF
		}
	}
}
