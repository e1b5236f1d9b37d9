package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"bipfs/handshake/utp"
)

// packetSocket is a UDP socket with uTP on it.
func packetSocket(t testing.TB, addr string) (*UDP, *utp.Socket, netip.AddrPort) {
	t.Helper()
	u, err := network(NetworkConfig{}).ListenPacket(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	s := utp.New(u, utp.Config{})
	u.HandleUTP(s.Deliver)
	t.Cleanup(func() {
		s.Close()
		u.Close()
	})
	return u, s, u.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestUTPOverSockets: both families, through sockets of one and of both.
func TestUTPOverSockets(t *testing.T) {
	for listen, dial := range map[string][]string{":0": {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "127.0.0.1:0": {"127.0.0.1"}, "[::1]:0": {"::1"}} {
		_, server, at := packetSocket(t, listen)
		_, client, _ := packetSocket(t, ":0")
		l := server.Listen()
		for _, ip := range dial {
			ctx, cancel := context.WithTimeout(t.Context(), longEnough)
			c, err := client.Dial(ctx, netip.AddrPortFrom(netip.MustParseAddr(ip), at.Port()))
			cancel()
			if err != nil {
				t.Fatalf("listening at %s, dialling %s: %v", listen, ip, err)
			}
			a, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("0123456789"), 100_000)
			go func() {
				c.Write(want)
				c.Close()
			}()
			if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s to %s: %d bytes, %v", ip, listen, len(got), err)
			}
			a.Close()
		}
	}
}

// TestNode: the DHT's side of the socket gets what begins with d, of its own
// family, and no error but at its end.
func TestNode(t *testing.T) {
	u, _, at := packetSocket(t, ":0")
	for node, ip := range map[*Node]string{u.Node(): "127.0.0.1", u.Node6(): "::1"} {
		c, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(ip), at.Port()).String())
		if err != nil {
			t.Skip(err)
		}
		defer c.Close()
		for _, s := range []string{"x", "", "d1:qe", "\x00\x01", "l", "\xff"} {
			c.Write([]byte(s))
		}
		b := make([]byte, 100)
		n, from, err := node.ReadFrom(b)
		if err != nil || string(b[:n]) != "d1:qe" || from.String() != c.LocalAddr().String() {
			t.Fatalf("%q from %v: %v", b[:n], from, err)
		}
		if _, err := node.WriteTo([]byte("d1:re"), from); err != nil {
			t.Fatal(err)
		}
		if n, _ := c.Read(b); string(b[:n]) != "d1:re" {
			t.Errorf("%q", b[:n])
		}
		node.Close()
		if _, _, err := node.ReadFrom(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestSocketOutlivesICMP: what the network says of packets that nobody takes
// ends neither the socket nor its nodes.
func TestSocketOutlivesICMP(t *testing.T) {
	u, s, at := packetSocket(t, "127.0.0.1:0")
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.LocalAddr().(*net.UDPAddr).AddrPort()
	closed.Close()
	for _, to := range []string{nobody.String(), "255.255.255.255:1", "127.0.0.1:0", "[::1]:5", "[fe80::1%1]:5", "240.0.0.1:9"} {
		u.WriteBatch([]utp.Datagram{{Addr: netip.MustParseAddrPort(to), Payload: []byte("hello")}, {Addr: nobody, Payload: make([]byte, 70000)},
			{Addr: nobody, Payload: []byte("hello"), Whole: true}})
		u.Node().WriteTo([]byte("de"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Dial(ctx, nobody); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody answered: %v", err)
	}
	c, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("d1:qe"))
	b := make([]byte, 10)
	if n, _, err := u.Node().ReadFrom(b); err != nil || string(b[:n]) != "d1:qe" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// TestRuns: datagrams of all lengths arrive as they were sent, in order,
// whether the kernel takes runs of them or not.
func TestRuns(t *testing.T) {
	for _, runs := range []bool{true, false} {
		to, _, at := packetSocket(t, "127.0.0.1:0")
		from, _, _ := packetSocket(t, ":0")
		from.out.runs = from.out.runs && runs
		got := make(chan []byte, 1000)
		to.HandleUTP(func(list []utp.Datagram) {
			for _, d := range list {
				got <- bytes.Clone(d.Payload)
			}
		})
		var list []utp.Datagram
		for i := range 300 {
			size := []int{1200, 1200, 1200, 700, 20, 9000, 1400, 1400}[i%8]
			b := bytes.Repeat([]byte{byte(i)}, size)
			b[0] = 0x01
			list = append(list, utp.Datagram{Addr: at, Payload: b, Whole: i%50 == 49})
		}
		for i := 0; i < len(list); i += 100 { // what a socket's buffer holds
			from.WriteBatch(list[i : i+100])
			for j := i; j < i+100; j++ {
				select {
				case b := <-got:
					if !bytes.Equal(b, list[j].Payload) {
						t.Fatalf("runs %v: datagram %d has %d bytes of %d, wanted %d of %d", runs, j, len(b), b[1], len(list[j].Payload), list[j].Payload[1])
					}
				case <-time.After(longEnough):
					t.Fatalf("runs %v: datagram %d of %d bytes is lost", runs, j, len(list[j].Payload))
				}
			}
		}
	}
}

// BenchmarkLoopback is uTP through real sockets, with TCP beside it.
func BenchmarkLoopback(b *testing.B) {
	for _, kind := range []string{"utp", "tcp"} {
		b.Run(kind, func(b *testing.B) {
			var l net.Listener
			var dial func() (net.Conn, error)
			n := network(NetworkConfig{})
			if kind == "utp" {
				_, server, at := packetSocket(b, "127.0.0.1:0")
				_, client, _ := packetSocket(b, "127.0.0.1:0")
				l = server.Listen()
				dial = func() (net.Conn, error) { return client.Dial(b.Context(), at) }
			} else {
				var err error
				if l, err = n.Listen(b.Context(), "127.0.0.1:0"); err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				dial = func() (net.Conn, error) {
					return n.Dial(b.Context(), l.Addr().(*net.TCPAddr).AddrPort())
				}
			}
			c, err := dial()
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			a, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			const block = 128 << 10
			b.SetBytes(block)
			b.ReportAllocs()
			cpu := processTime()
			b.ResetTimer()
			go func() {
				buf := make([]byte, block)
				for range b.N {
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, 64<<10)
			for left := b.N * block; left > 0; {
				n, err := a.Read(buf)
				if err != nil {
					b.Fatal(err)
				}
				left -= n
			}
			b.StopTimer()
			b.ReportMetric(float64(processTime()-cpu)/float64(b.N*block), "cpu-ns/B")
		})
	}
}

// processTime is the CPU time of this process so far.
func processTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
