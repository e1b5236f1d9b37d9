package engine

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// after gives a connection, or fails, after a while.
func after(d time.Duration, conn net.Conn, err error) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		select {
		case <-time.After(d):
			return conn, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// closing notes that it was closed.
type closing struct {
	net.Conn
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// stubborn connects however soon it is told to end.
func stubborn(d time.Duration, conn net.Conn) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) { time.Sleep(d); return conn, nil }
}

func TestRace(t *testing.T) {
	errFirst, errSecond := errors.New("first"), errors.New("second")
	const ms = time.Millisecond
	for name, l := range map[string]struct {
		first, second func(a, b net.Conn) func(context.Context) (net.Conn, error)
		wins          int // 0: nobody
		took          time.Duration
	}{
		"TCP is there before the pause": {
			func(a, _ net.Conn) func(context.Context) (net.Conn, error) { return after(100*ms, a, nil) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return after(0, b, nil) }, 1, 100 * ms},
		"TCP is slow, uTP is not": {
			func(a, _ net.Conn) func(context.Context) (net.Conn, error) { return after(time.Second, a, nil) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return after(50*ms, b, nil) }, 2, headStart + 50*ms},
		"TCP fails at once": {
			func(_, _ net.Conn) func(context.Context) (net.Conn, error) { return after(10*ms, nil, errFirst) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return after(50*ms, b, nil) }, 2, 60 * ms},
		"TCP fails at once, uTP never answers": {
			func(_, _ net.Conn) func(context.Context) (net.Conn, error) { return after(10*ms, nil, errFirst) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return after(time.Hour, b, nil) }, 0, utpLate + 10*ms},
		"uTP fails, TCP is slow": {
			func(a, _ net.Conn) func(context.Context) (net.Conn, error) { return after(time.Second, a, nil) },
			func(_, _ net.Conn) func(context.Context) (net.Conn, error) { return after(0, nil, errSecond) }, 1, time.Second},
		"both fail": {
			func(_, _ net.Conn) func(context.Context) (net.Conn, error) { return after(time.Second, nil, errFirst) },
			func(_, _ net.Conn) func(context.Context) (net.Conn, error) { return after(0, nil, errSecond) }, 0, time.Second},
		"both are there": {
			func(a, _ net.Conn) func(context.Context) (net.Conn, error) { return stubborn(200*ms, a) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return stubborn(100*ms, b) }, 1, headStart + 100*ms},
		"nobody is there before the end": {
			func(a, _ net.Conn) func(context.Context) (net.Conn, error) { return after(time.Hour, a, nil) },
			func(_, b net.Conn) func(context.Context) (net.Conn, error) { return after(time.Hour, b, nil) }, 0, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &closing{}, &closing{}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				begin := time.Now()
				conn, err := race(ctx, headStart, l.first(a, b), l.second(a, b))
				if took := time.Since(begin); took != l.took {
					t.Errorf("it took %v, want %v", took, l.took)
				}
				switch {
				case l.wins == 0 && (err == nil || conn != nil), l.wins == 1 && (conn != net.Conn(a) || err != nil), l.wins == 2 && (conn != net.Conn(b) || err != nil):
					t.Errorf("%v, %v", conn, err)
				case l.wins == 1 && a.closed, l.wins == 2 && b.closed:
					t.Error("the winner is closed")
				case name == "both are there" && !b.closed:
					t.Error("the loser is not closed")
				}
			})
		})
	}
}

// udpRelay passes datagrams on to a port of this machine and back, for one
// client; its own port takes no TCP.
func udpRelay(t *testing.T, to string) (addr string) {
	t.Helper()
	in, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	var client atomic.Pointer[net.Addr]
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := in.ReadFrom(b)
			if err != nil {
				return
			}
			client.Store(&from)
			out.Write(b[:n])
		}
	})
	wg.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, err := out.Read(b)
			if err != nil {
				return
			}
			in.WriteTo(b[:n], *client.Load())
		}
	})
	t.Cleanup(func() {
		in.Close()
		out.Close()
		wg.Wait()
	})
	return in.LocalAddr().String()
}

// TestUTPAlone: a peer that TCP does not get to is read over uTP, encrypted or
// not; without uTP it is not reached.
func TestUTPAlone(t *testing.T) {
	c := newContent(t, 64<<10, 3_000_000, 77)
	s := seeder(t, c)
	for name, l := range map[string]struct {
		cfg   Config
		reads bool
	}{
		"encrypted":   {Config{Encryption: RequireEncryption}, true},
		"plain":       {Config{Encryption: NoEncryption}, true},
		"without uTP": {Config{NoUTP: true, ReadTimeout: 500 * time.Millisecond}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l.cfg.Peers = []string{udpRelay(t, s.addr())}
			leech := testClient(t, l.cfg)
			torrent, err := leech.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			if l.reads {
				readAll(t, torrent, c)
				return
			}
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := readRange(t.Context(), r, 0, 1); !errors.Is(err, ErrNoPeers) {
				t.Errorf("a read without uTP: %v", err)
			}
		})
	}
}
