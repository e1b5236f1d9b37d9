package engine

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"bipfs/handshake"
	"bipfs/wire/extension"
)

// TestExchangeOfBadPeers: what a peer says of others is taken once in a while,
// from who says it as BEP 11 has it, and leads to nobody's door but a peer's.
func TestExchangeOfBadPeers(t *testing.T) {
	c := newContent(t, 64<<10, 100_000)
	listed := func(addrs ...string) []byte {
		var m extension.PEX
		for _, a := range addrs {
			m.Added = append(m.Added, extension.Exchanged{Addr: netip.MustParseAddrPort(a)})
		}
		return m.Append(nil)
	}
	for _, l := range []struct {
		name  string
		says  [][]byte
		knows int  // candidates afterwards, the peer itself among them
		ends  bool // the connection
	}{
		{"two peers", [][]byte{listed("127.9.9.1:6881", "[::1]:6881")}, 3, false},
		{"again too soon", [][]byte{listed("127.9.9.1:6881"), listed("127.9.9.2:6881"), listed("127.9.9.3:6881")}, 2, false},
		{"nobody's address", [][]byte{listed("0.0.0.0:6881", "224.0.0.1:6881", "255.255.255.255:6881", "[::]:6881", "[ff02::1]:6881", "127.9.9.1:6881")}, 2, false},
		{"services", [][]byte{listed("127.9.9.1:25", "127.9.9.1:53", "127.9.9.1:80", "127.9.9.1:1023", "127.9.9.1:1024")}, 2, false},
		{"port 0", [][]byte{[]byte("d5:added6:\x7f\x09\x09\x01\x00\x00e")}, 1, false},
		{"no dictionary", [][]byte{[]byte("6:abcdef")}, 1, true},
		{"deep", [][]byte{[]byte(strings.Repeat("l", 10_000))}, 1, true},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			ended, said := make(chan error, 16), make(chan struct{}, 16)
			addr := listenScripted(t, c.meta.Info.Hash, func(p *scripted) {
				p.extended(0, extension.Handshake{M: map[string]uint8{"ut_pex": 1}}.Append(nil))
				for _, b := range l.says {
					p.extended(ourPEX, b)
				}
				p.extended(99, nil)
				said <- struct{}{}
				for {
					if _, _, err := p.next(); err != nil {
						ended <- err
						return
					}
				}
			})
			leech := testClient(t, Config{Peers: []string{addr}, Encryption: handshake.Off, NoUTP: true})
			torrent, err := leech.Add(Source{Torrent: c.meta})
			if err != nil {
				t.Fatal(err)
			}
			r, err := torrent.OpenFile(0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			go readRange(t.Context(), r, 0, 1)
			<-said
			eventually(t, "what it says is not taken", func() bool { return leech.hand.Stats(torrent.hash).Candidates == l.knows })
			within := 300 * time.Millisecond // in which nothing is to happen
			if l.ends {
				within = longEnough
			}
			select {
			case <-ended:
				if !l.ends {
					t.Error("the peer was hung up on")
				}
			case <-time.After(within):
				if l.ends {
					t.Error("the peer was not hung up on")
				}
			}
			if n := leech.hand.Stats(torrent.hash).Candidates; n != l.knows {
				t.Errorf("%d addresses are known, want %d", n, l.knows)
			}
		})
	}
}
