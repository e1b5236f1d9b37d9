package utp

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func syn(from netip.AddrPort, id uint16) Datagram {
	b := make([]byte, headerSize+longestSize)
	(&header{kind: kindSyn, id: id, seq: 1}).put(b, extensionBits)
	putLongest(b[headerSize:])
	return Datagram{Addr: from, Payload: b}
}

func v4(i int, port uint16) netip.AddrPort {
	var ip [4]byte
	binary.BigEndian.PutUint32(ip[:], 0x0b000000+uint32(i))
	return netip.AddrPortFrom(netip.AddrFrom4(ip), port)
}

// TestFlood: SYN packets of twenty thousand addresses, and of one, take a
// bounded place, are answered with no more bytes than they had, and shut nobody
// out.
func TestFlood(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{})
		b, at := w.socket("10.0.0.2:2", Config{})
		l := b.Listen()
		plug := w.ends[at]
		came := 0
		for i := range 20_000 {
			d := syn(v4(i, 5), uint16(i))
			came += len(d.Payload)
			b.Deliver([]Datagram{d})
			if conns, halfOpen, _ := b.sizes(); halfOpen > mostHalfOpen || conns > mostHalfOpen {
				t.Fatalf("%d half-open, %d connections", halfOpen, conns)
			}
			if i%100 == 0 { // 10,000 a second
				time.Sleep(10 * time.Millisecond)
			}
		}
		if plug.out > came {
			t.Errorf("%d bytes for %d", plug.out, came)
		}
		time.Sleep(halfOpenTime + time.Second)
		if conns, halfOpen, heap := b.sizes(); conns+halfOpen+heap != 0 {
			t.Errorf("left: %d half-open, %d connections", halfOpen, conns)
		}
		for i := range 1000 {
			b.Deliver([]Datagram{syn(v4(7, uint16(i+1)), uint16(i))})
		}
		if _, halfOpen, _ := b.sizes(); halfOpen != mostHalfOpenIP {
			t.Errorf("one address has %d half-open", halfOpen)
		}
		c, d := joined(t, a, l, at)
		c.Close()
		d.Close()
	})
}

// TestSpoofed: nothing but short answers goes to an address that is not proven,
// and what answers for it does not count unless it saw our sequence number.
func TestSpoofed(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		b, at := w.socket("10.0.0.2:2", Config{})
		l := b.Listen()
		victim := v4(1, 9)
		b.Deliver([]Datagram{syn(victim, 100)})
		seq := b.conns[key{victim, 101}].machine.flight.end
		blind := make([]byte, headerSize+1)
		for i := range 200 {
			if ack := seq + 2 + uint16(i); ack != seq-1 {
				(&header{kind: kindData, id: 101, seq: 2, ack: ack, window: 1 << 20}).put(blind, 0)
				b.Deliver([]Datagram{{Addr: victim, Payload: blind}})
			}
		}
		accepted := make(chan struct{})
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Close()
				close(accepted)
			}
		}()
		synctest.Wait()
		select {
		case <-accepted:
			t.Fatal("an address that nobody proved was accepted")
		default:
		}
		(&header{kind: kindData, id: 101, seq: 2, ack: seq - 1, window: 1 << 20}).put(blind, 0)
		b.Deliver([]Datagram{{Addr: victim, Payload: blind}})
		<-accepted
		// Packets of no connection: a RESET, as short as can be, 200 a second.
		plug := w.ends[at]
		before := plug.out
		for i := range 10_000 {
			(&header{kind: kindData, id: 5}).put(blind, 0)
			b.Deliver([]Datagram{{Addr: v4(i, 7), Payload: blind}})
		}
		if n := plug.out - before; n != mostResets*headerSize {
			t.Errorf("%d bytes of RESETs", n)
		}
	})
}

// TestIdleMemory: a connection that has moved bytes and is idle takes at most
// 20 kB, both ends and their goroutines of this test included.
func TestIdleMemory(t *testing.T) {
	in(t, 0, func(t *testing.T, w *wire) {
		a, _ := w.socket("10.0.0.1:1", Config{})
		b, at := w.socket("10.0.0.2:2", Config{})
		l := b.Listen()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const n = 500
		var keep []*Conn
		for range n {
			c, d := joined(t, a, l, at)
			go func() {
				c.Write(make([]byte, 100_000))
			}()
			got := make([]byte, 100_000)
			for m := 0; m < len(got); {
				k, err := d.Read(got[m:])
				if err != nil {
					t.Fatal(err)
				}
				m += k
			}
			keep = append(keep, c, d)
		}
		time.Sleep(2 * time.Minute)
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := int64(after.HeapAlloc-before.HeapAlloc) / (2 * n)
		t.Logf("%d bytes for each idle connection", each)
		if each > 20_000 {
			t.Errorf("%d bytes for each idle connection", each)
		}
		runtime.KeepAlive(keep)
	})
}
