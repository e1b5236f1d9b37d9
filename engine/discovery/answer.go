package discovery

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"bipfs/wire/bencode"
)

// Bounds of what an answer may ask of us.
const (
	MinInterval = time.Minute
	MaxInterval = 24 * time.Hour
	// NoInterval is the interval of an answer that gives none, 0 or less.
	NoInterval = 5 * time.Minute
	// MaxText is how much of a tracker's text a person sees, in characters.
	MaxText = 200
)

// answerLimits admit every answer of MaxBody that is made of peers.
var answerLimits = bencode.Limits{Depth: 8, Items: 256 << 10, Trailing: true}

// Answer is what a tracker said, with everything in bounds.
type Answer struct {
	Interval    time.Duration    // MinInterval..MaxInterval
	MinInterval time.Duration    // 0..MaxInterval
	Peers       []netip.AddrPort // at most MaxPeers, in the order of the answer
	Warning     string           // at most MaxText characters, safe to show
	TrackerID   string           // at most MaxTrackerID bytes
	Seeders     int              // 0 if not told
	Leechers    int              // 0 if not told
	Us          netip.Addr       // our address, as the tracker sees it (BEP 24); invalid if not told
	From        netip.Addr       // the tracker's own; invalid if not known
}

// ErrNotTracker is the error of an answer that is not a tracker's.
var ErrNotTracker = errors.New("the answer is not a tracker's")

// ParseAnswer reads the body of an answer (BEP 3, 7, 23). A *Failure is the
// tracker's own refusal. Fields of a wrong type count as absent, bad peers are
// left out; an answer whose peers are neither a string nor a list is an error.
func ParseAnswer(body []byte) (Answer, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return Answer{}, fmt.Errorf("%w: it is empty", ErrNotTracker)
	}
	n, err := bencode.Validate(body, answerLimits)
	if err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			return Answer{}, fmt.Errorf("%w: it is not bencoded, but a web page", ErrNotTracker)
		}
		return Answer{}, fmt.Errorf("%w: it is not bencoded: %v", ErrNotTracker, err)
	}
	if !bencode.IsDictionary(body[:n]) {
		return Answer{}, fmt.Errorf("%w: it is not a dictionary", ErrNotTracker)
	}
	a := Answer{Interval: NoInterval}
	for key, v := range bencode.Dictionary(body[:n]) {
		if err := a.field(string(key), v); err != nil {
			return Answer{}, err
		}
	}
	return a, nil
}

// field takes one entry of the answer's dictionary.
func (a *Answer) field(key string, v bencode.Raw) error {
	integer, _ := bencode.Integer(v)
	text, isText := bencode.String(v)
	switch key {
	case "failure reason":
		return &Failure{forPeople(string(text))}
	case "warning message":
		a.Warning = forPeople(string(text))
	case "interval":
		a.Interval = interval(integer)
	case "min interval":
		a.MinInterval = seconds(integer)
	case "tracker id":
		if len(text) <= MaxTrackerID {
			a.TrackerID = string(text)
		}
	case "complete":
		a.Seeders = count(integer)
	case "incomplete":
		a.Leechers = count(integer)
	case "external ip":
		ip, _ := netip.AddrFromSlice(text)
		a.Us = ip.Unmap()
	case "peers":
		switch {
		case isText:
			a.compact(text, 4)
		case bencode.IsList(v):
			a.dictionaries(v)
		default:
			return fmt.Errorf("%w: its peers are neither a string nor a list", ErrNotTracker)
		}
	case "peers6":
		a.compact(text, 16)
	}
	return nil
}

// compact takes peers of n bytes of address and two of port each (BEP 23, 7).
// Bytes left over at the end are ignored.
func (a *Answer) compact(b []byte, n int) {
	for ; len(b) >= n+2; b = b[n+2:] {
		ip, _ := netip.AddrFromSlice(b[:n])
		a.peer(ip, binary.BigEndian.Uint16(b[n:]))
	}
}

// dictionaries takes peers that are dictionaries (BEP 3). A peer named by a
// host name is left out: a tracker does not make us look names up.
func (a *Answer) dictionaries(list bencode.Raw) {
	for v := range bencode.List(list) {
		var ip netip.Addr
		var port int64
		for key, v := range bencode.Dictionary(v) {
			switch string(key) {
			case "ip":
				text, _ := bencode.String(v)
				ip, _ = netip.ParseAddr(string(text))
			case "port":
				port, _ = bencode.Integer(v)
			}
		}
		if port == int64(uint16(port)) {
			a.peer(ip.WithZone(""), uint16(port))
		}
	}
}

// peer adds one peer, if it can be one.
func (a *Answer) peer(ip netip.Addr, port uint16) {
	ip = ip.Unmap()
	if len(a.Peers) >= MaxPeers || port == 0 || !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return
	}
	a.Peers = append(a.Peers, netip.AddrPortFrom(ip, port))
}

// interval is n seconds, clamped.
func interval(n int64) time.Duration {
	if n <= 0 {
		return NoInterval
	}
	return max(seconds(n), MinInterval)
}

// seconds is n seconds, from 0 to MaxInterval.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(MaxInterval/time.Second))) * time.Second
}

// count is n, from 0 to a billion.
func count(n int64) int { return int(min(max(n, 0), 1e9)) }

// forPeople makes text of the network safe to show: on one line, without
// control and formatting characters (a terminal obeys the first, and the
// second can turn a line around), MaxText characters at most.
func forPeople(s string) string {
	s = s[:min(len(s), 16*MaxText)] // no character is longer; what is cut off would not be shown
	var b strings.Builder
	n := 0
	for _, r := range s {
		if unicode.IsSpace(r) {
			r = ' '
		}
		if !unicode.IsGraphic(r) {
			continue
		}
		if n++; n > MaxText {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
