package engine

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// theirHolepunch is what the scripted peers call ut_holepunch.
const theirHolepunch = 9

// listens is a scripted peer that says that it listens at a port, and maybe that
// it speaks ut_holepunch. The loop has heard it when it returns.
func listens(t *testing.T, c *Client, hash wire.Digest, port int, speaks bool) (p *scripted, at netip.AddrPort) {
	t.Helper()
	p = meet(t, c, hash)
	h := extension.Handshake{Port: port, M: map[string]uint8{extension.UTMetadata: 7}}
	if speaks {
		h.M[extension.UTHolepunch] = theirHolepunch
	}
	p.extended(0, h.Append(nil))
	p.extended(ourMetadata, extension.Metadata{Type: extension.MetadataRequest}.Append(nil))
	p.until(t, "an answer", func(m wire.Message, _ []byte) bool { return m.Kind == wire.Extended && m.ID == 7 })
	return p, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
}

// hears waits for a message of ut_holepunch.
func (p *scripted) hears(t *testing.T) (h extension.Holepunch) {
	t.Helper()
	p.until(t, "ut_holepunch", func(m wire.Message, payload []byte) bool {
		if m.Kind != wire.Extended || m.ID != theirHolepunch {
			return false
		}
		var err error
		if h, err = extension.ParseHolepunch(payload); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return h
}

func (p *scripted) asks(at netip.AddrPort) {
	p.extended(ourHolepunch, extension.Holepunch{Kind: extension.Rendezvous, Addr: at}.Append(nil))
}

// TestRelay: two peers are told of each other at the word of one; who cannot be
// brought together is told why; and nobody asks more often than the bound.
func TestRelay(t *testing.T) {
	c := newContent(t, 16<<10, 50_000)
	s := seeder(t, c)
	begin := time.Now()
	a, atA := listens(t, s, c.meta.Info.Hash, 7001, true)
	b, atB := listens(t, s, c.meta.Info.Hash, 7002, true)
	_, deaf := listens(t, s, c.meta.Info.Hash, 7003, false)
	a.asks(atB)
	if h := a.hears(t); h != (extension.Holepunch{Kind: extension.Connect, Addr: atB}) {
		t.Errorf("the initiator hears %+v", h)
	}
	if h := b.hears(t); h != (extension.Holepunch{Kind: extension.Connect, Addr: atA}) {
		t.Errorf("the target hears %+v", h)
	}
	nowhere := netip.MustParseAddrPort("127.0.0.1:9")
	for at, want := range map[netip.AddrPort]extension.PunchError{
		netip.MustParseAddrPort("0.0.0.0:7002"): extension.NoSuchPeer, netip.MustParseAddrPort("127.0.0.1:0"): extension.NoSuchPeer,
		nowhere: extension.NotConnected, deaf: extension.NoSupport, atA: extension.NoSelf,
	} {
		a.asks(at)
		if h := a.hears(t); h != (extension.Holepunch{Kind: extension.PunchFailed, Addr: at, Error: want}) {
			t.Errorf("asked for %v: %+v, want %v", at, h, want)
		}
	}
	for range 3 * punchBurst {
		a.asks(nowhere)
	}
	for range punchBurst - 6 {
		a.hears(t)
	}
	a.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	for more := 0; ; {
		m, _, err := a.next()
		if err != nil {
			break
		}
		if m.Kind == wire.Extended && m.ID == theirHolepunch {
			more++
		}
		if most := int(time.Since(begin) / punchEvery); more > most { // 0 unless the machine is busy
			t.Fatalf("%d more than the bound are answered", more)
		}
	}
}

// TestTarget: at the word of a relay somebody is dialled, also by who has
// everything; not at an address that a relay must not name.
func TestTarget(t *testing.T) {
	c := newContent(t, 16<<10, 50_000)
	s, other := seeder(t, c), testClient(t, Config{})
	torrent, err := other.Add(Source{Torrent: c.meta})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := listens(t, s, c.meta.Info.Hash, 7001, true)
	for _, at := range []string{"0.0.0.0:1", "224.0.0.1:1", "127.0.0.1:1023", other.addr()} {
		p.extended(ourHolepunch, extension.Holepunch{Kind: extension.Connect, Addr: netip.MustParseAddrPort(at)}.Append(nil))
	}
	eventually(t, "the two are connected", func() bool { return other.hand.Stats(torrent.hash).Standing == 1 })
	if n := s.hand.Stats(torrent.hash).Candidates; n != 1 {
		t.Errorf("%d addresses are kept", n)
	}
	p.extended(ourHolepunch, []byte("\x00"))
	for err = nil; err == nil; {
		_, _, err = p.next()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("who sends nonsense stays connected")
	}
}

// TestNoHolepunch: it is not spoken where there is no uTP, where peers are not
// exchanged, and of a private torrent.
func TestNoHolepunch(t *testing.T) {
	for name, l := range map[string]struct {
		cfg     Config
		private bool
		want    uint8
	}{
		"spoken": {want: ourHolepunch}, "no PEX": {cfg: Config{NoPEX: true}}, "no uTP": {cfg: Config{NoUTP: true}}, "private": {private: true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContent(t, 16<<10, 50_000)
			if l.private {
				raw := c.meta.Info.Raw
				info, err := metainfo.ParseInfo(append(raw[:len(raw)-1:len(raw)-1], "7:privatei1ee"...))
				if err != nil {
					t.Fatal(err)
				}
				c.meta = &metainfo.Torrent{Info: info}
			}
			s := testClient(t, l.cfg)
			if _, _, err := s.Seed(t.Context(), c.meta, c.path); err != nil {
				t.Fatal(err)
			}
			meet(t, s, c.meta.Info.Hash).until(t, "our handshake", func(m wire.Message, payload []byte) bool {
				if m.Kind != wire.Extended || m.ID != 0 {
					return false
				}
				if h, err := extension.ParseHandshake(payload); err != nil || h.M[extension.UTHolepunch] != l.want {
					t.Errorf("%+v, %v", h.M, err)
				}
				return true
			})
		})
	}
}

// TestAllowance: so many at first, and one more after each pause.
func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Now()
	takes := func() (n int) {
		for a.take(now) {
			n++
		}
		return n
	}
	for i, l := range []struct {
		after time.Duration
		want  int
	}{
		{0, punchBurst}, {punchEvery - 1, 0}, {1, 1}, {3*punchEvery + punchEvery/2, 3}, {punchEvery / 2, 1},
		{time.Hour, punchBurst}, {0, 0}, {-time.Hour, 0}, {time.Hour, 0},
	} {
		now = now.Add(l.after)
		if n := takes(); n != l.want {
			t.Errorf("%d: after %v there are %d, want %d", i, l.after, n, l.want)
		}
	}
}
