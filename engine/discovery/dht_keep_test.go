package discovery

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestLately(t *testing.T) {
	l := newLately[int, string](3)
	for i := range 4 {
		l.put(i, fmt.Sprint(i))
	}
	l.put(1, "one")
	if _, ok := l.get(0); ok || len(l.in) != 3 {
		t.Errorf("%v", l.in)
	}
	if v, ok := l.take(1); v != "one" || !ok {
		t.Errorf("%q, %v", v, ok)
	}
	if _, ok := l.take(1); ok {
		t.Error("taken twice")
	}
	for i := range 100 {
		l.put(i, "")
		l.take(i)
	}
	if len(l.order) != 3 {
		t.Errorf("%d places", len(l.order))
	}
}

func TestPeerStore(t *testing.T) {
	s, now := newPeerStore(), time.Now()
	peer := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}), 7777)
	}
	s.add(idOf(1), peer(1), now)
	// The library's store gives 10.1.2.3:7777 back as 14 bytes and port 515.
	if got := fmt.Sprint(s.get(idOf(1), now)); got != "[20.0.0.1:7777]" {
		t.Error(got)
	}
	if got := s.get(idOf(1), now.Add(keepTime)); len(got) != 0 || len(s.by) != 0 {
		t.Errorf("old peers: %v", got)
	}
	s.add(idOf(1), netip.AddrPortFrom(peer(1).Addr(), 0), now)
	s.add(idOf(1), netip.MustParseAddrPort("224.0.0.1:1"), now)
	if len(s.by) != 0 {
		t.Error("nobody can be there")
	}
	for i := range maxPerHash + 1 {
		s.add(idOf(2), peer(i), now.Add(time.Duration(i)))
	}
	if _, first := s.by[idOf(2)].peers[peer(0)]; first || len(s.by[idOf(2)].peers) != maxPerHash {
		t.Errorf("%d peers", len(s.by[idOf(2)].peers))
	}
	if n := len(s.get(idOf(2), now)); n != maxGiven {
		t.Errorf("%d given", n)
	}
	for i := range maxKept + 100 {
		s.add(newID(netip.Addr{}), peer(i), now)
	}
	if len(s.by) != maxKept {
		t.Errorf("%d torrents", len(s.by))
	}
}

func TestDHTState(t *testing.T) {
	s := dhtState{id4: idOf(1), nodes: []nodeInfo{{idOf(3), them}, {idOf(4), netip.MustParseAddrPort("[2a00::1]:5")}}}
	b := s.encode()
	const want = `{"version":1,"id4":"0101010101010101010101010101010101010101","id6":"0000000000000000000000000000000000000000",` +
		`"nodes":[{"id":"0303030303030303030303030303030303030303","addr":"20.0.0.9:6881"},{"id":"0404040404040404040404040404040404040404","addr":"[2a00::1]:5"}]}` + "\n"
	if string(b) != want {
		t.Errorf("%s", b)
	}
	again, err := parseState(b)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
		t.Errorf("%v, %v", again, err)
	}
	for name, b := range map[string]string{
		"empty": "", "cut off": want[:40], "another version": `{"version":2,"nodes":[]}`, "a false id": `{"version":1,"id4":"01"}`,
		"no hexadecimal": `{"version":1,"id4":"zz"}`, "a false address": `{"version":1,"nodes":[{"id":"","addr":"x"}]}`, "too long": strings.Repeat(" ", MaxState+1),
	} {
		if s, err := parseState([]byte(b)); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
	odd := `{"version":1,"nodes":[{"id":"","addr":"1.2.3.4:5"},{"id":"0303030303030303030303030303030303030303","addr":"224.0.0.1:1"},{"id":"0303030303030303030303030303030303030303"}]}`
	if s, err := parseState([]byte(odd)); err != nil || len(s.nodes) != 0 {
		t.Errorf("%v, %v", s, err)
	}
	for range 2*maxSaved + 10 {
		s.nodes = append(s.nodes, s.nodes[0])
	}
	if s, err := parseState(s.encode()); err != nil || len(s.nodes) != 2*maxSaved {
		t.Errorf("%d nodes, %v", len(s.nodes), err)
	}
}

func FuzzDHTState(f *testing.F) {
	f.Add(dhtState{id4: idOf(1), nodes: []nodeInfo{{idOf(3), them}}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		if err != nil {
			return
		}
		if again, err := parseState(s.encode()); err != nil || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Errorf("%v, %v, want %v", again, err, s)
		}
	})
}

// TestReach: we are read-only when no stranger can reach us, and find out when
// that changes.
func TestReach(t *testing.T) {
	now := time.Now()
	var r reach
	judge := func(after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if got := r.judge(now); got != want {
			t.Errorf("read-only is %v", got)
		}
	}
	judge(0, false)
	judge(reachTrial, false) // nobody answers: perhaps there is no network
	r.answers = reachAnswer
	judge(0, true)
	judge(reachAgain-1, true)
	judge(1, false) // another trial
	judge(reachTrial, false)
	r.answers = reachAnswer
	r.stranger = now
	judge(0, false)
	judge(reachAgain-1, false)
	judge(1, true)
	r.asleep()
	judge(time.Hour, true)
	judge(reachAgain, false)
	r.asleep()
	judge(reachTrial, false)
	r.answers = reachAnswer
	judge(reachTrial-1, false) // a trial begins anew
	judge(1, true)
}

func TestVotes(t *testing.T) {
	v := votes{newLately[netip.Addr, netip.Addr](maxVoters)}
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}) }
	for range 100 {
		v.add(addr(1), us.Addr()) // one vote each
	}
	for i := range minVotes - 1 {
		v.add(addr(i), us.Addr())
	}
	v.add(netip.MustParseAddr("127.0.0.1"), us.Addr())
	v.add(addr(100), netip.MustParseAddr("192.168.0.7"))
	if _, ok := v.elected(); ok {
		t.Error("elected by too few")
	}
	v.add(addr(minVotes), us.Addr())
	if a, ok := v.elected(); !ok || a != us.Addr() {
		t.Errorf("%v, %v", a, ok)
	}
	for i := range maxVoters {
		v.add(addr(100+i), addr(i%2))
	}
	if a, ok := v.elected(); ok || len(v.by.in) != maxVoters {
		t.Errorf("%v of %d", a, len(v.by.in))
	}
}

func TestScope(t *testing.T) {
	for text, want := range map[string]int{"1.2.3.4": scopeWorld, "2a00::1": scopeWorld, "10.1.1.1": scopeSite, "100.64.0.1": scopeSite,
		"fc00::1": scopeSite, "169.254.1.1": scopeLink, "fe80::1": scopeLink, "127.0.0.1": scopeMachine, "::1": scopeMachine, "::ffff:127.0.0.1": scopeMachine} {
		if got := scope(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %d", text, got)
		}
	}
}

// TestKRPC is each kind of message byte by byte, and that what is read is what
// was written.
func TestKRPC(t *testing.T) {
	six := netip.MustParseAddrPort("[6161:6161:6161:6161:6161:6161:6161:6161]:24929")
	four := netip.MustParseAddrPort("97.97.97.97:24929")
	a, b := idOf('a'), idOf('b')
	const idA, idB = "20:aaaaaaaaaaaaaaaaaaaa", "20:bbbbbbbbbbbbbbbbbbbb"
	for want, m := range map[string]krpcMessage{
		"d1:ad2:id" + idA + "e1:q4:ping1:t2:aa1:y1:qe":                                                                     {kind: 'q', method: methodPing, id: a},
		"d1:ad2:id" + idA + "6:target" + idB + "4:wantl2:n42:n6ee1:q9:find_node2:roi1e1:t2:aa1:y1:qe":                      {kind: 'q', method: methodFind, id: a, target: b, want4: true, want6: true, readOnly: true},
		"d1:ad2:id" + idA + "9:info_hash" + idB + "e1:q9:get_peers1:t2:aa1:y1:qe":                                          {kind: 'q', method: methodGet, id: a, target: b},
		"d1:ad2:id" + idA + "9:info_hash" + idB + "4:porti5e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe":                  {kind: 'q', method: methodAnnounce, id: a, target: b, port: 5, token: "x"},
		"d1:ad2:id" + idA + "12:implied_porti1e9:info_hash" + idB + "4:porti0e5:token0:e1:q13:announce_peer1:t2:aa1:y1:qe": {kind: 'q', method: methodAnnounce, id: a, target: b, ours: true},
		"d2:ip6:aaaaaa1:rd2:id" + idA + "e1:t2:aa1:y1:re":                                                                  {kind: 'r', id: a, seen: four},
		"d1:rd2:id" + idA + "5:nodes26:bbbbbbbbbbbbbbbbbbbbaaaaaa6:nodes638:bbbbbbbbbbbbbbbbbbbbaaaaaaaaaaaaaaaaaa5:token1:x6:valuesl6:aaaaaa18:aaaaaaaaaaaaaaaaaaee1:t2:aa1:y1:re": {
			kind: 'r', id: a, nodes: []nodeInfo{{b, four}}, nodes6: []nodeInfo{{b, six}}, token: "x", values: []netip.AddrPort{four, six}},
		"d1:eli201e2:noe1:t2:aa1:y1:ee": {kind: 'e', code: 201, text: "no"},
	} {
		m.transaction = "aa"
		if got := string(appendKRPC(nil, m)); got != want {
			t.Errorf("\n got %q\nwant %q", got, want)
		}
		if got, ok := parseKRPC([]byte(want)); !ok || fmt.Sprint(got) != fmt.Sprint(m) {
			t.Errorf("%q is read as %+v, %v", want, got, ok)
		}
	}
	// BEP 51's method, and others of tomorrow, look for a node.
	if m, ok := parseKRPC([]byte("d1:ad2:id" + idA + "6:target" + idB + "e1:q17:sample_infohashes1:t2:aa1:y1:qe")); !ok || m.method != methodFind {
		t.Errorf("%+v, %v", m, ok)
	}
	for _, port := range []string{"-1", "0", "65536", "99999999999"} {
		if m, ok := parseKRPC([]byte("d1:ad2:id" + idA + "9:info_hash" + idB + "4:porti" + port + "e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe")); ok {
			t.Errorf("port %s: %+v", port, m)
		}
	}
	// What is over the bounds is left out.
	full := "d1:rd2:id" + idA + "5:nodes" + fmt.Sprint(26*(MaxNodes+1)) + ":" + strings.Repeat("bbbbbbbbbbbbbbbbbbbbaaaaaa", MaxNodes+1) + "e1:t2:aa1:y1:re"
	if m, ok := parseKRPC([]byte(full)); !ok || len(m.nodes) != MaxNodes {
		t.Errorf("%d nodes, %v", len(m.nodes), ok)
	}
	full = "d1:rd2:id" + idA + "6:valuesl" + strings.Repeat("6:aaaaaa", MaxValues+1) + "ee1:t2:aa1:y1:re"
	if m, ok := parseKRPC([]byte(full)); !ok || len(m.values) != MaxValues {
		t.Errorf("%d values, %v", len(m.values), ok)
	}
	full = "d1:rd2:id" + idA + "e1:t2:aa1:y1:re"
	for pad, want := range map[int]bool{MaxKRPC - len(full): true, MaxKRPC - len(full) + 1: false} {
		if _, ok := parseKRPC([]byte(full + strings.Repeat(" ", pad))); ok != want {
			t.Errorf("a packet of %d bytes: %v", len(full)+pad, ok)
		}
	}
}
