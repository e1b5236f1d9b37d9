package discovery

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"bipfs/wire/bencode"
)

var (
	them = netip.MustParseAddrPort("20.0.0.9:6881")
	us   = netip.MustParseAddrPort("20.0.0.1:6881")
)

// idOf is an id of twenty bytes b.
func idOf(b byte) (id nodeID) { return nodeID(bytes.Repeat([]byte{b}, 20)) }

// lone is a DHT on a network with a socket of our own in it.
type lone struct {
	t   *testing.T
	d   *DHT
	net *packetNet
}

// alone runs f in false time with a DHT at us that knows nobody.
func alone(t *testing.T, f func(l lone)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		net := newPacketNet(time.Millisecond)
		l := lone{t, net.join(t, us.String()), net}
		f(l)
		over(l.d)
	})
}

// send sends packets from a socket and waits until all is quiet.
func (l lone) send(from *packetConn, packets ...string) {
	for _, p := range packets {
		if _, err := from.WriteTo([]byte(p), l.d.c.Conn4.LocalAddr()); err != nil {
			l.t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
}

// got is what a socket has received.
func (c *packetConn) got() (all []krpcMessage) {
	for {
		select {
		case p := <-c.in:
			m, ok := parseKRPC(p.b)
			if !ok {
				panic(fmt.Sprintf("received %q", p.b))
			}
			all = append(all, m)
		default:
			return all
		}
	}
}

// answer answers a query of ours as a node with an id does.
func (l lone) answer(c *packetConn, id nodeID) (asked int) {
	for _, m := range c.got() {
		if m.kind == 'q' {
			asked++
			l.send(c, string(appendKRPC(nil, krpcMessage{kind: 'r', transaction: m.transaction, id: id})))
		}
	}
	return asked
}

const aID = "2:id20:aaaaaaaaaaaaaaaaaaaa"

// TestDHTHostile: packets that kill the bare library, and others that mean no
// good, change nothing.
func TestDHTHostile(t *testing.T) {
	alone(t, func(l lone) {
		c := l.net.listen(them.String())
		l.send(c,
			"", "d", "de", "le", "i1e", "d1:y1:qe", "d1:t1:a1:y1:qe",
			"d2:ip1:x1:q4:ping1:t1:a1:y1:qe",                         // the library: makeslice: len out of range
			"d1:q13:announce_peer1:t1:a1:y1:qe",                      // the library: nil pointer
			"d1:ad"+aID+"e1:q13:announce_peer1:t1:a1:y1:qe",          //
			"d1:ad"+aID+"e1:q9:get_peers1:t1:a1:y1:qe",               // no info_hash
			"d1:ad2:id19:aaaaaaaaaaaaaaaaaaae1:q4:ping1:t1:a1:y1:qe", // a short id
			"d1:ad2:id20:"+strings.Repeat("\x00", 20)+"e1:q4:ping1:t1:a1:y1:qe",
			"d1:ad"+aID+"e1:q4:ping1:t33:"+strings.Repeat("t", 33)+"1:y1:qe",
			"d1:ad"+aID+"e1:q4:ping1:ti1e1:y1:qe",
			"d1:rd"+aID+"6:valuesl1:xee1:t1:\x001:y1:re", // an answer to nothing
			"d1:rd"+aID+"e1:t1:\x001:y1:re",              // the library's first transaction
			"d1:eli1e1:xe1:t1:\x001:y1:ee",
			"d1:ad"+aID+"1:vi1e6:target20:aaaaaaaaaaaaaaaaaaaae1:q3:put1:t1:a1:y1:q", // cut off
			strings.Repeat("l", MaxKRPC), strings.Repeat("d1:a", 1000), "d1:a2147483647:x",
			"d1:ad"+aID+"e1:q4:ping1:t1:a1:y1:qe"+strings.Repeat(" ", MaxKRPC),
		)
		if got := c.got(); len(got) != 0 {
			t.Errorf("answered: %+v", got)
		}
		c.in <- packet{}                                      // and an error of the socket:
		l.d.c.Conn4.(*packetConn).in <- packet{}              // the library panics on these
		l.send(c, "d1:ad"+aID+"e1:q4:ping1:t2:zz1:y1:qejunk") // junk behind is harmless
		<-c.in
		got := c.got()
		if len(got) != 1 || got[0].kind != 'r' || got[0].transaction != "zz" {
			t.Errorf("ping: %+v", got)
		}
		// What BEP 44 would store is taken for find_node: nothing is stored.
		l.send(c, "d1:ad"+aID+"6:target20:aaaaaaaaaaaaaaaaaaaae1:q3:get1:t1:a1:y1:qe")
		if got := c.got(); len(got) != 1 || got[0].kind != 'r' || got[0].token != "" {
			t.Errorf("get: %+v", got)
		}
	})
}

// TestDHTAmplification: to whom has not shown that it is where its packets say,
// no answer is longer than the query.
func TestDHTAmplification(t *testing.T) {
	alone(t, func(l lone) {
		stop := searching(l.d, idOf(7), 0, nobody) // awake: it gets to know others
		defer stop()
		for i := range 20 { // a table, and peers
			n := l.net.listen(fmt.Sprintf("20.0.1.%d:1", i))
			id := idOf(byte(13*i + 1)) // of every part of the space: a bucket holds eight
			l.send(n, fmt.Sprintf("d1:ad2:id20:%se1:q4:ping1:t1:a1:y1:qe", id[:]))
			if l.answer(n, id) != 1 {
				t.Fatal("a stranger is not met")
			}
			l.d.nodes[0].peers.add(idOf('k'), netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 2, byte(i)}), 1), time.Now())
		}
		c := l.net.listen(them.String())
		sizes := l.net.answers(us)
		for _, q := range []string{
			"d1:ad" + aID + "e1:q4:ping1:t1:a1:y1:qe",
			"d1:ad" + aID + "6:target20:kkkkkkkkkkkkkkkkkkkke1:q9:find_node1:t1:a1:y1:qe",
			"d1:ad" + aID + "9:info_hash20:kkkkkkkkkkkkkkkkkkkke1:q9:get_peers1:t1:a1:y1:qe",
			"d1:ad" + aID + "9:info_hash20:kkkkkkkkkkkkkkkkkkkk4:wantl2:n42:n6ee1:q9:get_peers1:t1:a1:y1:qe",
		} {
			l.send(c, q)
			if n := sizes.take(); len(n) != 1 || n[0] > len(q) {
				t.Errorf("answers of %v bytes to %d of %q", n, len(q), q)
			}
		}
		l.answer(c, idOf('a')) // now it has
		sizes.take()
		l.send(c, "d1:ad"+aID+"9:info_hash20:kkkkkkkkkkkkkkkkkkkke1:q9:get_peers1:t1:a1:y1:qe")
		got := c.got()
		if len(got) != 1 || len(got[0].values) != 20 || len(got[0].nodes) != replyNodes || got[0].token == "" || got[0].seen != them || sizes.take()[0] > maxReply {
			t.Errorf("get_peers: %+v", got)
		}
		// find_node gives the nodes nearest to its target: the library looks
		// for an info_hash there, and answers with those near zero.
		for _, target := range []byte{0x01, 0x55, 0xaa, 0xf5} {
			l.send(c, "d1:ad"+aID+"6:target20:"+strings.Repeat(string([]byte{target}), 20)+"e1:q9:find_node1:t1:a1:y1:qe")
			got = c.got()
			if len(got) != 1 || len(got[0].nodes) != replyNodes {
				t.Fatalf("find_node: %+v", got)
			}
			last := got[0].nodes[replyNodes-1].id[0] ^ target
			for _, n := range l.d.nodes[0].nodes() {
				if !slices.Contains(got[0].nodes, n) && n.id[0]^target < last {
					t.Errorf("find_node for %x leaves out %x", target, n.id[0])
				}
			}
		}
	})
}

// TestDHTAnnounce: who announces with a token of ours is given to others; the
// library's own store would give another address.
func TestDHTAnnounce(t *testing.T) {
	alone(t, func(l lone) {
		stop := searching(l.d, idOf(7), 0, nobody)
		defer stop()
		c := l.net.listen(them.String())
		const get = "d1:ad" + aID + "9:info_hash20:kkkkkkkkkkkkkkkkkkkke1:q9:get_peers1:t1:a1:y1:qe"
		l.send(c, get)
		if l.answer(c, idOf('a')) != 1 {
			t.Fatal("a stranger is not met")
		}
		l.send(c, get)
		got := c.got()
		if len(got) != 1 || got[0].token == "" {
			t.Fatalf("get_peers: %+v", got)
		}
		announce := krpcMessage{kind: 'q', method: methodAnnounce, id: idOf('a'), target: idOf('k'), transaction: "b", port: 7777, token: "false"}
		l.send(c, string(appendKRPC(nil, announce)))
		announce.token = got[0].token
		other := l.net.listen("20.0.0.10:1")
		l.send(other, string(appendKRPC(nil, announce)))
		if got := append(c.got(), other.got()...); slices.ContainsFunc(got, func(m krpcMessage) bool { return m.kind == 'r' }) {
			t.Errorf("announced with a false token: %+v", got)
		}
		l.send(c, string(appendKRPC(nil, announce)))
		c.got()
		l.send(c, get)
		if got := c.got(); len(got) != 1 || fmt.Sprint(got[0].values) != "[20.0.0.9:7777]" {
			t.Errorf("get_peers: %+v", got)
		}
	})
}

// TestDHTRates: more queries than that are not answered.
func TestDHTRates(t *testing.T) {
	g, now := newGate(false), time.Now()
	count := func(addr func(i int) netip.Addr) (n int) {
		for i := range 1000 {
			if g.affordable(addr(i), now) {
				n++
			}
		}
		return n
	}
	if n := count(func(int) netip.Addr { return them.Addr() }); n != QueryRateEach {
		t.Errorf("%d of one address", n)
	}
	now = now.Add(time.Second)
	if n := count(func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, 1, byte(i >> 8), byte(i)}) }); n != QueryRate {
		t.Errorf("%d of all", n)
	}
	now = now.Add(time.Second)
	if n := count(func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 15: byte(i)}) }); n != QueryRateEach {
		t.Errorf("%d of one /64", n)
	}
}

// TestDHTMeeting: strangers are pinged only while we are awake, a few at a
// time, and one by whom Meet is called likewise.
func TestDHTMeeting(t *testing.T) {
	alone(t, func(l lone) {
		l.d.Meet(netip.MustParseAddrPort("20.0.5.1:1"))
		l.d.Meet(netip.AddrPort{})
		time.Sleep(time.Minute)
		if n := l.net.sent(); n != 0 {
			t.Errorf("%d packets while quiet", n)
		}
		stop := searching(l.d, idOf(7), 0, nobody)
		defer stop()
		for i := range 100 {
			l.d.Meet(netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, 5, byte(i)}), 1))
		}
		time.Sleep(QueryTime / 2)
		if n := l.net.sent(); n != maxMeeting {
			t.Errorf("%d packets, %d at most", n, maxMeeting)
		}
		time.Sleep(QueryTime)
		if n := l.net.sent(); n != maxMeeting {
			t.Errorf("%d packets: one try each", n)
		}
	})
}

// TestGateAnswers: an answer is one to a query of ours, by its address and its
// transaction, and it does not send us to our own doors.
func TestGateAnswers(t *testing.T) {
	g := newGate(false)
	g.inner = newInner(g)
	var sent []krpcMessage
	g.send = func(b []byte, to netip.AddrPort) error {
		m, _ := parseKRPC(b)
		sent = append(sent, m)
		return nil
	}
	var crossed []nodeInfo
	g.crossing = func(n []nodeInfo) { crossed = n }
	ask := krpcMessage{kind: 'q', method: methodGet, transaction: "\x00", id: idOf(1), target: idOf(2)}
	if err := g.give(appendKRPC(nil, ask), them); err != nil || len(sent) != 1 || len(sent[0].transaction) != 4 {
		t.Fatalf("%v, %+v", err, sent)
	}
	local, world := netip.MustParseAddrPort("127.0.0.1:80"), netip.MustParseAddrPort("20.0.3.1:80")
	six := netip.MustParseAddrPort("[2a00::1]:80")
	a := krpcMessage{kind: 'r', transaction: sent[0].transaction, id: idOf(3), seen: us, token: "t",
		nodes: []nodeInfo{{idOf(4), local}, {idOf(5), world}}, nodes6: []nodeInfo{{idOf(6), six}}, values: []netip.AddrPort{world, local}}
	g.take(appendKRPC(nil, a), netip.MustParseAddrPort("20.0.0.9:6882"))
	wrong := a
	wrong.transaction = "\x00"
	g.take(appendKRPC(nil, wrong), them)
	if len(g.inner.in) != 0 {
		t.Error("a forged answer is taken")
	}
	g.take(appendKRPC(nil, a), them)
	g.take(appendKRPC(nil, a), them) // one answer a query
	if len(g.inner.in) != 1 {
		t.Fatalf("%d answers", len(g.inner.in))
	}
	m, _ := parseKRPC((<-g.inner.in).b)
	if m.transaction != "\x00" || len(m.nodes) != 1 || m.nodes[0].addr != world || len(m.nodes6) != 0 || fmt.Sprint(m.values) != fmt.Sprint([]netip.AddrPort{world}) {
		t.Errorf("%+v", m)
	}
	if len(crossed) != 1 || crossed[0].addr != six || g.votes.by.in[them.Addr()] != us.Addr() {
		t.Errorf("%+v, %+v", crossed, g.votes)
	}
}

// TestGateBounds: a full inbox loses packets, and every map has its bound.
func TestGateBounds(t *testing.T) {
	g := newGate(false)
	g.inner = newInner(g)
	g.stranger, g.send = func(netip.AddrPort) {}, func([]byte, netip.AddrPort) error { return nil }
	ping := krpcMessage{kind: 'q', method: methodPing, id: idOf(1)}
	for i := range 2 * maxPending {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		ping.transaction = fmt.Sprint(i)
		g.second, g.count = time.Time{}, 0
		g.take(appendKRPC(nil, ping), from)
		g.give(appendKRPC(nil, ping), from)
	}
	if len(g.inner.in) != maxInbox || len(g.pending.in) != maxPending || len(g.asked.in) != maxAsked || len(g.spoken.in) != maxAnswered {
		t.Errorf("%d, %d, %d, %d", len(g.inner.in), len(g.pending.in), len(g.asked.in), len(g.spoken.in))
	}
}

// FuzzGate: whatever comes, what the library gets is a small message in strict
// bencode that we would take ourselves.
func FuzzGate(f *testing.F) {
	for _, s := range []string{"d1:ad" + aID + "e1:q4:ping1:t1:a1:y1:qe", "d2:ip1:x1:q4:ping1:t1:a1:y1:qe",
		"d1:ad" + aID + "9:info_hash20:kkkkkkkkkkkkkkkkkkkk4:wantl2:n42:n6ee1:q9:get_peers1:t1:a1:y1:qe",
		"d1:eli201e1:xe1:t4:aaaa1:y1:ee", "d2:ip6:aaaaaa1:rd" + aID + "5:nodes26:aaaaaaaaaaaaaaaaaaaaaaaaaa6:valuesl6:aaaaaaee1:t4:aaaa1:y1:re",
		"d1:ad" + aID + "12:implied_porti1e9:info_hash20:kkkkkkkkkkkkkkkkkkkk4:porti1e5:token1:te1:q13:announce_peer1:t1:a1:y1:qe"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g := newGate(false)
		g.inner = newInner(g)
		g.stranger, g.crossing = func(netip.AddrPort) {}, func([]nodeInfo) {}
		g.pending.put(exchange{them, "aaaa"}, sent{})
		g.take(b, them)
		select {
		case p := <-g.inner.in:
			m, ok := parseKRPC(p.b)
			if _, err := bencode.Validate(p.b, krpcLimits); !ok || err != nil || !bytes.Equal(appendKRPC(nil, m), p.b) {
				t.Errorf("%q became %q: %v", b, p.b, err)
			}
		default:
		}
	})
}
