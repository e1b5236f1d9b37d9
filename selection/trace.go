package selection

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"bipfs/wire"
)

// A trace is a line for each event, the time before it:
//
//	1.5s received 7 have 12
//
// Fed back, the same lines give the same commands. Words that mean "no" or
// "none" are left out, so the shortest line is the plainest event.

// Line is the trace line of an event.
func Line(now time.Duration, e Event) string { return now.String() + " " + e.String() }

// ParseLine is the event of a trace line.
func ParseLine(s string) (time.Duration, Event, error) {
	at, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	now, err := time.ParseDuration(at)
	if err != nil {
		return 0, nil, err
	}
	e, err := ParseEvent(rest)
	return now, e, err
}

func mark(on bool, word string) string {
	if on {
		return " " + word
	}
	return ""
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return " addr=" + a.String()
}

func digests(key string, ds []wire.Digest) string {
	if len(ds) == 0 {
		return ""
	}
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = strings.TrimRight(hex.EncodeToString(d[:]), "0")
	}
	return " " + key + "=" + strings.Join(words, ",")
}

func guilty(peers []wire.Peer) string {
	if len(peers) == 0 {
		return ""
	}
	words := make([]string, len(peers))
	for i, p := range peers {
		words[i] = fmt.Sprint(p)
	}
	return " guilty=" + strings.Join(words, ",")
}

var classes = [...]string{Now: "now", ReadAhead: "read-ahead", Background: "background"}

// String is the class as scripts write it.
func (c Class) String() string { return classes[c] }

func (e Geometry) String() string {
	s := fmt.Sprintf("geometry length=%d piece=%d", e.Length, e.PieceLength) + mark(e.V2Only, "v2") + mark(e.Leaves, "leaves")
	for i, tail := range e.Tails {
		s += []string{" tails=", ","}[min(i, 1)] + tail.String()
	}
	if e.Have.Count() > 0 {
		s += " have=" + hex.EncodeToString(e.Have)
	}
	return s
}

func (e PeerConnect) String() string {
	return fmt.Sprintf("connect %d slots=%d loads=%d", e.Peer, e.Slots, e.Loads) +
		mark(e.Kind == Ranges, "ranges") + mark(e.Fast, "fast") + mark(e.Incoming, "incoming") + address(e.Addr) + trip(e.Trip)
}

func trip(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " trip=" + d.String()
}

func (e PeerDisconnect) String() string { return fmt.Sprintf("disconnect %d", e.Peer) }

func (e Received) String() string {
	s := fmt.Sprintf("received %d %v", e.Peer, e.Message.Kind)
	switch w := e.Message; w.Kind {
	case wire.Have, wire.Suggest, wire.AllowedFast:
		s += fmt.Sprintf(" %d", w.Piece)
	case wire.Request, wire.Cancel, wire.Reject, wire.PieceBlock:
		s += " " + w.Block().String()
	case wire.HaveBitfield:
		s += " " + hex.EncodeToString(e.Payload)
	}
	return s
}

func (e Limits) String() string {
	s := fmt.Sprintf("limits %d reqq=%d", e.Peer, e.Reqq)
	if e.DontHave != 0 {
		s += fmt.Sprintf(" dont-have=%d", e.DontHave)
	}
	return s
}

func numbers(ps []wire.Piece) (s string) {
	for _, p := range ps {
		s += fmt.Sprintf(" %d", p)
	}
	return s
}

func (e DontHave) String() string { return fmt.Sprintf("dont-have %d %d", e.Peer, e.Piece) }
func (e Allow) String() string    { return fmt.Sprintf("allow %d%v", e.Peer, numbers(e.Pieces)) }

func (e Stored) String() string {
	s := fmt.Sprintf("stored %d %v", e.Peer, e.Block)
	if e.Lease != 0 {
		s += fmt.Sprintf(" lease=%d", e.Lease)
	}
	return s
}

func (e Written) String() string {
	return fmt.Sprintf("written %d messages=%d loads=%d", e.Peer, e.Messages, e.Loads)
}

func (e Unloaded) String() string { return fmt.Sprintf("unloaded %d %v", e.Peer, e.Block) }

func (e Starved) String() string { return fmt.Sprintf("starved %d %v", e.Peer, e.Block) }

func (e Granted) String() string {
	return fmt.Sprintf("granted %d lease=%d room=%d", e.Piece, e.Lease, e.Room)
}

func (e Room) String() string   { return fmt.Sprintf("room lease=%d n=%d", e.Lease, e.N) }
func (e Revoke) String() string { return fmt.Sprintf("revoke lease=%d", e.Lease) }

func (e Verified) String() string {
	return fmt.Sprintf("verified %d lease=%d", e.Piece, e.Lease) + mark(e.OK, "ok") + digests("digests", e.Digests) + digests("came", e.Came) + mark(e.Kept, "kept") + guilty(e.Guilty)
}

func (e Proven) String() string {
	return fmt.Sprintf("proven %d lease=%d%s", e.Piece, e.Lease, blocks(e.Blocks))
}

func (e Spoiled) String() string {
	return fmt.Sprintf("spoiled %d %d lease=%d%s", e.Peer, e.Piece, e.Lease, blocks(e.Blocks))
}

func blocks(bs []int) (s string) {
	for i, b := range bs {
		s += []string{" blocks=", ","}[min(i, 1)] + strconv.Itoa(b)
	}
	return s
}

func (e Evicted) String() string { return fmt.Sprintf("evicted %d", e.Piece) }

func (e Want) String() string {
	return fmt.Sprintf("want %d %v deadline=%v class=%v", e.Reader, e.Extent, e.Deadline, e.Class)
}

func (e Unwant) String() string { return fmt.Sprintf("unwant %d", e.Reader) }
func (e Upload) String() string { return "upload" + mark(e.On, "on") }
func (e Wake) String() string   { return "wake" }

func (e Aside) String() string { return "aside" }

func (e Limited) String() string {
	return "limited" + mark(e.Down, "down") + mark(e.Background, "background") + mark(e.Up, "up")
}

func (e Credit) String() string {
	s := "credit"
	for _, b := range []struct {
		of string
		n  int64
	}{{"down", e.Down}, {"background", e.Background}, {"up", e.Up}} {
		if b.n > 0 {
			s += fmt.Sprintf(" %s=%d", b.of, b.n)
		}
	}
	return s
}

func (c Send) String() string {
	s := fmt.Sprintf("send %d %v", c.Peer, c.Message)
	if len(c.Payload) > 0 {
		s += " " + hex.EncodeToString(c.Payload)
	}
	return s
}

func (c Load) String() string { return fmt.Sprintf("load %d %v", c.Peer, c.Block) }
func (c Open) String() string { return fmt.Sprintf("open %d deadline=%v", c.Piece, c.Deadline) }

func (c Only) String() string { return fmt.Sprintf("only %d of %d", c.Piece, c.Peer) }

func (c Reprioritise) String() string {
	return fmt.Sprintf("reprioritise %d deadline=%v", c.Piece, c.Deadline)
}

func (c Close) String() string { return fmt.Sprintf("close %d", c.Piece) }

func (c Drop) String() string {
	return fmt.Sprintf("drop %d", c.Peer) + mark(c.Ban, "ban") + address(c.Addr) + " " + strconv.Quote(c.Reason)
}
