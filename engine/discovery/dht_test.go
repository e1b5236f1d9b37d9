package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestDHTTwoNodes: one other node is a network.
func TestDHTTwoNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		a, b := net.join(t, "20.0.0.1:1"), net.join(t, "20.0.0.2:2", "20.0.0.1:1")
		begin := time.Now()
		got := make(chan string, 10)
		stopB := searching(b, [20]byte{1}, 6881, nobody)
		time.Sleep(10 * time.Second)
		c := net.join(t, "20.0.0.3:3", "20.0.0.1:1")
		stopC := searching(c, [20]byte{1}, 0, func(peers []netip.AddrPort) { got <- fmt.Sprint(peers, time.Since(begin)) })
		t.Log(<-got)
		stopB()
		stopC()
		over(a, b, c)
	})
}

// TestDHTWarm: in a warm network of fifty nodes, the first peer is found within
// three round trips.
func TestDHTWarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const trip = 100 * time.Millisecond
		net := newPacketNet(trip / 2)
		var all []*DHT
		var stops []func()
		for i := range 50 {
			nodes := []string{"20.0.0.1:6881"}
			if i == 0 {
				nodes = nil
			}
			d := net.join(t, fmt.Sprintf("20.0.0.%d:6881", i+1), nodes...)
			all = append(all, d)
			if i > 0 {
				stops = append(stops, searching(d, newID(netip.Addr{}), 0, nobody))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(3 * time.Minute)
		t.Logf("warm after %d packets", net.sent())
		for i := range 10 {
			infohash := newID(netip.Addr{})
			stops = append(stops, searching(all[10+i], infohash, 7000, nobody))
			time.Sleep(10 * time.Second)
			found := make(chan time.Duration, 1000)
			begin := time.Now()
			stops = append(stops, searching(all[40+i%10], infohash, 0, func(peers []netip.AddrPort) { found <- time.Since(begin) }))
			took := <-found
			t.Logf("the first peer after %.1f round trips", float64(took)/float64(trip))
			if took > 3*trip {
				t.Errorf("the first peer took %v", took)
			}
		}
		for _, stop := range stops {
			stop()
		}
		over(all...)
	})
}

// TestDHTQuiet: nothing is sent before the first search, and nothing but
// answers some time after the last; what was learnt is not lost.
func TestDHTQuiet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		first := net.join(t, "20.0.0.1:1")
		var saved []byte
		b, err := NewDHT(DHTConfig{Conn4: net.listen("20.0.0.2:2"), Nodes: []string{"20.0.0.1:1"}, Resolve: byAddress,
			State: dhtState{nodes: []nodeInfo{{idOf(9), them}}}.encode(), Save: func(s []byte) { saved = s }})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := net.sent(); n != 0 {
			t.Errorf("%d packets before the first search", n)
		}
		stop := searching(b, idOf(1), 6881, nobody)
		time.Sleep(time.Hour)
		// Under a packet a second, with a table of one.
		if n := net.sent(); n == 0 || n > 3600 {
			t.Errorf("%d packets in an hour of searching", n)
		}
		stop()
		time.Sleep(QuietAfter + 2*LookAgain)
		n := net.sent()
		time.Sleep(24 * time.Hour)
		if n != net.sent() {
			t.Errorf("%d packets while quiet", net.sent()-n)
		}
		b.Close()
		s, err := parseState(saved)
		if err != nil || len(s.nodes) == 0 || s.id4 != b.state().id4 {
			t.Errorf("saved: %s, %v", saved, err)
		}
		// With what was saved, no bootstrap node is needed.
		got := make(chan []netip.AddrPort, 100)
		c, err := NewDHT(DHTConfig{Conn4: net.listen("20.0.0.3:3"), State: saved})
		if err != nil {
			t.Fatal(err)
		}
		again := net.join(t, "20.0.0.4:4", "20.0.0.1:1")
		stop4 := searching(again, idOf(2), 7, nobody)
		time.Sleep(time.Second)
		stop3 := searching(c, idOf(2), 0, func(p []netip.AddrPort) { got <- p })
		if p := <-got; fmt.Sprint(p) != "[20.0.0.4:7]" {
			t.Error(p)
		}
		stop3()
		stop4()
		over(first, b, c, again)
	})
}

// TestDHTBadState: a saved table that cannot be read costs one line of the log.
func TestDHTBadState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var lines strings.Builder
		net := newPacketNet(0)
		d, err := NewDHT(DHTConfig{Conn4: net.listen("20.0.0.1:1"), State: []byte("{"), Log: slog.New(slog.NewTextHandler(&lines, nil))})
		if err != nil || strings.Count(lines.String(), "\n") != 1 {
			t.Errorf("%v, %s", err, &lines)
		}
		over(d)
	})
}

// TestDHTSocketErrors: errors of the socket end nothing.
func TestDHTSocketErrors(t *testing.T) {
	alone(t, func(l lone) {
		for range 500 {
			l.d.c.Conn4.(*packetConn).in <- packet{}
		}
		time.Sleep(10 * time.Second)
		c := l.net.listen(them.String())
		l.send(c, "d1:ad"+aID+"e1:q4:ping1:t1:a1:y1:qe")
		if got := c.got(); len(got) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestDHTDeadNodes: with a table of nodes that have all gone, the bootstrap
// nodes are asked, and the search still begins.
func TestDHTDeadNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		var s dhtState
		for i := range 100 {
			s.nodes = append(s.nodes, nodeInfo{newID(netip.Addr{}), netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 9, 9, byte(i)}), 1)})
		}
		first := net.join(t, "20.0.0.1:1")
		other := net.join(t, "20.0.0.2:1", "20.0.0.1:1")
		stopOther := searching(other, idOf(1), 6881, nobody)
		time.Sleep(time.Second)
		d, err := NewDHT(DHTConfig{Conn4: net.listen("20.0.0.3:1"), State: s.encode(), Nodes: []string{"nowhere", "20.0.0.1:1"}, Resolve: byAddress})
		if err != nil {
			t.Fatal(err)
		}
		begin, got := time.Now(), make(chan bool, 100)
		stop := searching(d, idOf(1), 0, func([]netip.AddrPort) { got <- true })
		<-got
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("took %v", took)
		} else {
			t.Log(took)
		}
		stop()
		stopOther()
		over(first, d, other)
	})
}

// TestDHTFamilies: a node of both families finds peers over both, though it
// was told of a node of one only (BEP 32).
func TestDHTFamilies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		both := func(i int, nodes ...string) *DHT {
			d, err := NewDHT(DHTConfig{Conn4: net.listen(fmt.Sprintf("20.0.0.%d:1", i)), Conn6: net.listen(fmt.Sprintf("[2a00::%d]:1", i)),
				Nodes: nodes, Resolve: byAddress})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		a, b := both(1), both(2, "20.0.0.1:1", "[2a00::1]:1")
		stopA := searching(a, idOf(5), 0, nobody)
		stopB := searching(b, idOf(1), 6881, nobody)
		time.Sleep(2 * time.Minute)
		c := both(3, "20.0.0.1:1") // IPv4 only
		got := make(chan netip.AddrPort, 1000)
		stopC := searching(c, idOf(1), 0, func(ps []netip.AddrPort) {
			for _, p := range ps {
				got <- p
			}
		})
		for found := map[string]bool{}; len(found) < 2; {
			found[(<-got).String()] = true
		}
		stopA()
		stopB()
		stopC()
		over(a, b, c)
	})
}

// TestDHTOwnAddress: when others agree on our address, our id becomes one that
// a node there may have (BEP 42), and the nodes stay.
func TestDHTOwnAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		var all []*DHT
		var stops []func()
		for i := range 7 {
			all = append(all, net.join(t, fmt.Sprintf("20.0.%d.1:6881", i), "20.0.0.1:6881"))
			stops = append(stops, searching(all[i], idOf(byte(i+1)), 0, nobody))
		}
		time.Sleep(4 * time.Minute)
		d := all[5]
		if id := d.state().id4; !secureID(id, netip.MustParseAddr("20.0.5.1")) || len(d.good(false)) < 5 {
			t.Errorf("the id is %x, with %d nodes", id, len(d.good(false)))
		}
		for _, stop := range stops {
			stop()
		}
		over(all...)
	})
}

// TestDHTReadOnly: a node that nobody can reach says so in its queries, and
// answers none (BEP 43).
func TestDHTReadOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(10 * time.Millisecond)
		spoken := map[netip.AddrPort]bool{}
		readOnly := 0
		net.drop = func(from, to netip.AddrPort, b []byte) bool {
			if m, _ := parseKRPC(b); from == us {
				spoken[to] = true
				if m.readOnly {
					readOnly++
				}
			}
			return to == us && !spoken[from] // a NAT
		}
		var all []*DHT
		var stops []func()
		for i := range 4 {
			all = append(all, net.join(t, fmt.Sprintf("20.0.0.%d:6881", i+1), "20.0.0.2:6881"))
			stops = append(stops, searching(all[i], idOf(byte(i+1)), 0, nobody))
		}
		time.Sleep(2*reachTrial + 2*LookAgain)
		net.mu.Lock()
		if readOnly == 0 {
			t.Error("it does not say that it is read-only")
		}
		net.mu.Unlock()
		g := all[1].nodes[0].gate
		g.mu.Lock()
		if g.reach.readOnly {
			t.Error("one that is reachable says that it is not")
		}
		g.mu.Unlock()
		for _, stop := range stops {
			stop()
		}
		over(all...)
	})
}

// TestDHTSearchBegins: with two nodes that answer a search begins at once,
// though others are silent and a name is still being looked up.
func TestDHTSearchBegins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		net := newPacketNet(50 * time.Millisecond)
		a := net.join(t, "20.0.0.1:1")
		b := net.join(t, "20.0.0.2:1", "20.0.0.1:1")
		stopB := searching(b, idOf(1), 6881, nobody)
		time.Sleep(time.Minute)
		c, err := NewDHT(DHTConfig{Conn4: net.listen("20.0.0.3:1"), Nodes: []string{"20.0.9.9:1", "slow", "20.0.0.1:1", "20.0.0.2:1"},
			Resolve: func(ctx context.Context, node string) ([]netip.AddrPort, error) {
				if node == "slow" {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return byAddress(ctx, node)
			}})
		if err != nil {
			t.Fatal(err)
		}
		begin, got := time.Now(), make(chan time.Duration, 100)
		stopC := searching(c, idOf(1), 0, func([]netip.AddrPort) { got <- time.Since(begin) })
		// One round trip to each of the two, and one for the search.
		if took := <-got; took > 250*time.Millisecond {
			t.Errorf("the first peer took %v", took)
		}
		stopB()
		stopC()
		over(a, b, c)
	})
}
