package handshake

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Accepting again after an error: a machine without a free file descriptor
// must not be kept busy by its listener.
const (
	firstRest   = 5 * time.Millisecond
	longestRest = time.Second

	// moment is what every accepted socket has before it makes room for another:
	// enough for an honest peer that is near, and for a busy machine to look at
	// it. While all places are taken by younger ones nothing is accepted: the
	// kernel keeps those that come.
	moment = 100 * time.Millisecond
)

// accepted is a socket that was accepted and has not finished its handshake.
type accepted struct {
	socket net.Conn
	home   netip.Prefix
	since  time.Time
	knows  bool // it has named a torrent that is here
}

// home is the network that one subscriber has: an IPv4 address, or 2^64 of
// IPv6. The zero address is a home as well.
func home(ip netip.Addr) netip.Prefix {
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

// Serve accepts peers until ctx ends, Close is called or the listener is
// closed, and closes the listener. Other errors of the listener are waited
// out. The peers outlive it: they end with Close.
func (h *Handshaker) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer context.AfterFunc(h.life, func() { cancel(ErrClosed) })()
	after := firstRest
	for {
		socket, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				socket.Close()
			}
			return context.Cause(ctx)
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			h.log.Warn("cannot accept peers", "address", l.Addr().String(), "error", err, "again_in", after)
			rest(ctx, after)
			after = min(2*after, longestRest)
			continue
		}
		after = firstRest
		if wait := h.crowded(); wait > 0 {
			rest(ctx, wait)
		}
		h.accept(socket)
	}
}

// accept starts the handshake of an accepted socket, within the limits. When
// all places are taken one makes room.
func (h *Handshaker) accept(socket net.Conn) {
	ip := addrOf(socket.RemoteAddr()).Addr()
	a := &accepted{socket: socket, home: home(ip), since: time.Now()}
	h.mu.Lock()
	same := 0
	for _, other := range h.accepted {
		if other.home == a.home {
			same++
		}
	}
	var oldest *accepted
	refused := same >= h.limits.PerIP || h.isUnwelcome(ip)
	if !refused {
		if len(h.accepted) >= h.limits.Accepting {
			i := h.least()
			oldest = h.accepted[i]
			h.accepted = slices.Delete(h.accepted, i, i+1)
		}
		h.accepted = append(h.accepted, a)
		refused = !h.spawn(func() { h.greeted(a) })
	}
	h.mu.Unlock()
	if oldest != nil {
		oldest.socket.Close()
	}
	if refused {
		socket.Close()
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// crowded is how long all places are taken by sockets that have had no moment.
func (h *Handshaker) crowded() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.accepted) < h.limits.Accepting {
		return 0
	}
	return time.Until(h.accepted[h.least()].since.Add(moment))
}

// least is which accepted socket would make room. It is the oldest: an honest
// peer needs no more than a moment, and one that lets us wait has waited longest.
// But who has named a torrent of ours keeps its place before those who have not.
// The lock is held.
func (h *Handshaker) least() int {
	return max(0, slices.IndexFunc(h.accepted, func(a *accepted) bool { return !a.knows }))
}

// greeted is a goroutine's life: greet, be the peer.
func (h *Handshaker) greeted(a *accepted) {
	conn := &Conn{
		Conn: a.socket, Reader: newReader(a.socket), Addr: addrOf(a.socket.RemoteAddr()),
		Incoming: true, Source: Incoming,
	}
	err := h.guard(conn, func() error { return h.greet(conn, a) })
	h.mu.Lock()
	h.accepted = slices.DeleteFunc(h.accepted, func(o *accepted) bool { return o == a })
	var t *torrent
	var l *link
	if err == nil {
		t = h.torrent(conn.Infohash)
		l, err = h.admit(t, conn)
	}
	h.mu.Unlock()
	if err == nil {
		err = h.become(l, conn)
	}
	a.socket.Close() // whatever Become did
	h.log.Debug("peer ended", "peer", conn.Addr, "source", Incoming.String(), "over", conn.over(), "mse", conn.MSE.String(), "reason", err)
	if l == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, ErrBanned) {
		t.ban(conn.Addr.Addr())
	}
	h.leave(t, l)
	h.feed(t)
}

// greet shakes hands on an accepted socket, within one deadline.
func (h *Handshaker) greet(c *Conn, a *accepted) error {
	ctx, cancel := context.WithTimeout(h.life, h.limits.Handshake)
	defer cancel()
	return within(ctx, c.Conn, func() error {
		if err := h.unveil(c); err != nil {
			return err
		}
		if err := c.readTorrent(h.config.Reserved); err != nil {
			return err
		}
		if c.MSE != 0 && c.Infohash != c.secret {
			return ErrInfohash
		}
		if !h.config.Known(c.Infohash) {
			return ErrUnknown
		}
		h.mu.Lock()
		a.knows = true
		h.mu.Unlock()
		twins, hybrid := h.twins(c.Infohash)
		answer := c.Infohash
		if hybrid && c.upgrades {
			answer = twins.V2
		}
		if _, err := c.Write(h.hello(c, answer)); err != nil {
			return err
		}
		if hybrid {
			c.Infohash, c.V2 = twins.Kept, answer == twins.V2
		}
		return c.readPeerID()
	})
}

// addrOf is an address of TCP or UDP; zero for another one.
func addrOf(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
