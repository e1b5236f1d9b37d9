package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"bipfs/handshake/utp"
)

// How a peer is reached: over TCP, and a moment later over uTP beside it. TCP
// is faster wherever it gets through; uTP gets through where it does not.
//
//	TCP  ├───────────────▶ connected ─┐
//	uTP  ├─ headStart ──┤──▶          ├─▶ the first one; the other is closed
const (
	// headStart is how much later uTP is tried, unless TCP has failed sooner.
	headStart = 150 * time.Millisecond
	// utpLate is how long uTP may take where TCP has failed before it: most of
	// those who refuse the one are not there at all, and each holds a place
	// among the half-open ones.
	utpLate = 3 * time.Second
)

// utpMemory is what uTP may hold of what is written and not acknowledged, or
// received and not read, in bytes.
func utpMemory(memory int64) int64 { return min(max(memory/8, 4<<20), 64<<20) }

// joinUDP opens the UDP socket that uTP and the DHT share, at the port that
// peers reach us at. Without it there is neither, and all else goes on.
func (c *Client) joinUDP() {
	if c.net.Proxied() || c.cfg.NoUTP && !c.cfg.DHT {
		return
	}
	var err error
	if c.udp, err = c.net.ListenPacket(c.ctx, c.listening); err != nil {
		c.udp = nil
		c.log.Warn("there is no uTP and no DHT", "err", err)
		return
	}
	if c.cfg.NoUTP {
		return
	}
	c.utp = utp.New(c.udp, utp.Config{Memory: utpMemory(c.cfg.Memory)})
	c.udp.HandleUTP(c.utp.Deliver)
	l := c.utp.Listen()
	c.spawn(func() { c.hand.Serve(c.ctx, l) })
}

// leaveUDP closes it. Nobody uses it any more.
func (c *Client) leaveUDP() {
	if c.utp != nil {
		c.utp.Close()
	}
	if c.udp != nil {
		c.udp.Close()
	}
}

// dial connects to a peer in the way that is there first.
func (c *Client) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return c.either(ctx, addr, c.net.Dial, c.utp.Dial)
}

// redial is dial the other way round. Some clients take a TCP connection that
// they do not want, and close it at once.
func (c *Client) redial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return c.either(ctx, addr, c.utp.Dial, c.net.Dial)
}

// either dials in two ways, unless there is only TCP, or not even that: the door
// says then that the address is blocked.
func (c *Client) either(ctx context.Context, addr netip.AddrPort, first, second func(context.Context, netip.AddrPort) (net.Conn, error)) (net.Conn, error) {
	if c.utp == nil || c.net.Blocked(addr.Addr()) {
		return c.net.Dial(ctx, addr)
	}
	return race(ctx, headStart,
		func(ctx context.Context) (net.Conn, error) { return first(ctx, addr) },
		func(ctx context.Context) (net.Conn, error) { return second(ctx, addr) })
}

// dialled is how one way ended.
type dialled struct {
	conn net.Conn
	err  error
}

// race dials in two ways, the second after a pause or when the first has
// failed. When it returns neither runs any more.
func race(ctx context.Context, pause time.Duration, first, second func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan struct{})
	ends := make(chan dialled, 2)
	var ways sync.WaitGroup
	ways.Go(func() {
		conn, err := first(ctx)
		if err != nil {
			close(failed)
		}
		ends <- dialled{conn, err}
	})
	ways.Go(func() {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-failed:
		case <-ctx.Done():
		}
		ctx := ctx
		select {
		case <-failed:
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, utpLate)
			defer cancel()
		default:
		}
		if err := ctx.Err(); err != nil {
			ends <- dialled{nil, err}
			return
		}
		conn, err := second(ctx)
		ends <- dialled{conn, err}
	})
	end := <-ends
	if end.err != nil {
		other := <-ends
		end = dialled{other.conn, errors.Join(end.err, other.err)}
		if other.err == nil {
			end.err = nil
		}
	}
	cancel()
	ways.Wait()
	select {
	case late := <-ends:
		if late.conn != nil {
			late.conn.Close()
		}
	default:
	}
	return end.conn, end.err
}
