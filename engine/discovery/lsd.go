package discovery

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Local service discovery (BEP 14): who looks for peers of a torrent says so to
// a multicast group of the network that it is in, and whoever has the torrent
// connects. Nothing is answered.

// The groups of BEP 14.
var (
	LSDGroup4 = netip.MustParseAddrPort("239.192.152.143:6771")
	LSDGroup6 = netip.MustParseAddrPort("[ff15::efc0:988f]:6771")
)

// Bounds of local service discovery.
const (
	LSDAgain  = 5 * time.Minute // between two announces of one torrent
	LSDRate   = 50              // messages a second that are looked at
	MaxLSD    = 1400            // bytes of a message (BEP 14)
	maxLSDIDs = 32              // torrents of one message
)

// LSDSocket is a socket that receives what is sent to a group, in one network.
type LSDSocket struct {
	net.PacketConn
	Group netip.AddrPort
}

// LSDConfig is what LSD is made of.
type LSDConfig struct {
	Sockets []LSDSocket // they are LSD's from now on: Close closes them
	Port    int         // where we accept peers
	// Found takes a peer that announced a torrent, one of ours or any other;
	// it may not wait.
	Found func(infohash [20]byte, peer netip.AddrPort)
}

// LSD announces torrents to the networks that we are in, and hears others.
type LSD struct {
	c      LSDConfig
	cookie string // tells our own messages from others'
	wg     sync.WaitGroup

	mu     sync.Mutex
	second time.Time // of count
	count  int
}

// NewLSD listens. It sends nothing before Announce.
func NewLSD(c LSDConfig) *LSD {
	var b [8]byte
	rand.Read(b[:])
	l := &LSD{c: c, cookie: hex.EncodeToString(b[:])}
	for _, s := range c.Sockets {
		l.wg.Go(func() { l.read(s) })
	}
	return l
}

// Close closes the sockets and returns when nothing of l runs any more.
func (l *LSD) Close() {
	for _, s := range l.c.Sockets {
		s.Close()
	}
	l.wg.Wait()
}

// Announce tells every network that we look for peers of a torrent, now and
// every LSDAgain, until ctx ends.
func (l *LSD) Announce(ctx context.Context, infohash [20]byte) {
	for ctx.Err() == nil {
		for _, s := range l.c.Sockets {
			// What the network does not take now is said again.
			s.WriteTo(lsdMessage(s.Group, l.c.Port, infohash, l.cookie), net.UDPAddrFromAddrPort(s.Group))
		}
		select {
		case <-time.After(LSDAgain):
		case <-ctx.Done():
		}
	}
}

// read hears one socket until it is closed.
func (l *LSD) read(s LSDSocket) {
	b := make([]byte, MaxLSD+1)
	for {
		n, from, err := s.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // it says nothing of the next call
			continue
		}
		udp, ok := from.(*net.UDPAddr)
		if !ok || !l.affordable(time.Now()) {
			continue
		}
		m, ok := parseLSD(b[:n])
		peer := netip.AddrPortFrom(udp.AddrPort().Addr().Unmap(), m.port)
		if !ok || m.cookie == l.cookie || !meetable(peer) {
			continue
		}
		for _, infohash := range m.infohashes {
			l.c.Found(infohash, peer)
		}
	}
}

// affordable counts a message against LSDRate.
func (l *LSD) affordable(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.second) >= time.Second {
		l.second, l.count = now, 0
	}
	l.count++
	return l.count <= LSDRate
}

// lsdMessage announces one torrent.
func lsdMessage(group netip.AddrPort, port int, infohash [20]byte, cookie string) []byte {
	return fmt.Appendf(nil, "BT-SEARCH * HTTP/1.1\r\nHost: %v\r\nPort: %d\r\nInfohash: %X\r\ncookie: %s\r\n\r\n\r\n", group, port, infohash, cookie)
}

// lsdSaid is what a message says.
type lsdSaid struct {
	port       uint16
	infohashes [][20]byte
	cookie     string
}

// parseLSD reads a message; ok is false if it is none. Lines that we do not
// know, and infohashes that are none, are left out.
func parseLSD(b []byte) (m lsdSaid, ok bool) {
	head, rest, ok := bytes.Cut(b, []byte("\r\n"))
	if !ok || len(b) > MaxLSD || string(head) != "BT-SEARCH * HTTP/1.1" {
		return m, false
	}
	for line := range strings.SplitSeq(string(rest), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "port":
			port, err := strconv.ParseUint(value, 10, 16)
			if err != nil {
				return m, false
			}
			m.port = uint16(port)
		case "infohash":
			h, err := hex.DecodeString(value)
			if err == nil && len(h) == 20 && len(m.infohashes) < maxLSDIDs {
				m.infohashes = append(m.infohashes, [20]byte(h))
			}
		case "cookie":
			m.cookie = value
		}
	}
	return m, m.port != 0 && len(m.infohashes) > 0
}
