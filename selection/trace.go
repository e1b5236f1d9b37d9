package selection

import (
	"encoding/hex"
	"errors"
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

func digests(ds []wire.Digest) string {
	if len(ds) == 0 {
		return ""
	}
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = strings.TrimRight(hex.EncodeToString(d[:]), "0")
	}
	return " digests=" + strings.Join(words, ",")
}

var classes = [...]string{Now: "now", ReadAhead: "read-ahead", Background: "background"}

// String is the class as scripts write it.
func (c Class) String() string { return classes[c] }

func (e Geometry) String() string {
	s := fmt.Sprintf("geometry length=%d piece=%d", e.Length, e.PieceLength)
	if e.Have.Count() > 0 {
		s += " have=" + hex.EncodeToString(e.Have)
	}
	return s
}

func (e PeerConnect) String() string {
	return fmt.Sprintf("connect %d slots=%d loads=%d", e.Peer, e.Slots, e.Loads) +
		mark(e.Kind == Ranges, "ranges") + mark(e.Fast, "fast") + mark(e.Incoming, "incoming") + address(e.Addr)
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

func (e Limits) String() string { return fmt.Sprintf("limits %d reqq=%d", e.Peer, e.Reqq) }

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

func (e Granted) String() string {
	return fmt.Sprintf("granted %d lease=%d room=%d", e.Piece, e.Lease, e.Room)
}

func (e Room) String() string   { return fmt.Sprintf("room lease=%d n=%d", e.Lease, e.N) }
func (e Revoke) String() string { return fmt.Sprintf("revoke lease=%d", e.Lease) }

func (e Verified) String() string {
	return fmt.Sprintf("verified %d lease=%d", e.Piece, e.Lease) + mark(e.OK, "ok") + digests(e.Digests)
}

func (e Evicted) String() string { return fmt.Sprintf("evicted %d", e.Piece) }

func (e Want) String() string {
	return fmt.Sprintf("want %d %v deadline=%v class=%v", e.Reader, e.Extent, e.Deadline, e.Class)
}

func (e Unwant) String() string { return fmt.Sprintf("unwant %d", e.Reader) }
func (e Upload) String() string { return "upload" + mark(e.On, "on") }
func (e Wake) String() string   { return "wake" }

func (c Send) String() string {
	s := fmt.Sprintf("send %d %v", c.Peer, c.Message)
	if c.Message.Kind == wire.HaveBitfield {
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

// line is what is left to parse of an event, and the first error. Numbers that
// are missing are 0.
type line struct {
	words []string
	err   error
}

var errWords = errors.New("selection: a trace line has words that it should not, or lacks some")

func (l *line) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// word is the next word.
func (l *line) word() string {
	if len(l.words) == 0 {
		l.fail(errWords)
		return ""
	}
	w := l.words[0]
	l.words = l.words[1:]
	return w
}

// flag tells whether the next word is w, and takes it if so.
func (l *line) flag(w string) bool {
	if len(l.words) == 0 || l.words[0] != w {
		return false
	}
	l.words = l.words[1:]
	return true
}

// key is the value of the next word if it is key=value, and takes it if so.
func (l *line) key(key string) (string, bool) {
	if len(l.words) == 0 {
		return "", false
	}
	v, ok := strings.CutPrefix(l.words[0], key+"=")
	if ok {
		l.words = l.words[1:]
	}
	return v, ok
}

func (l *line) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		l.fail(err)
	}
	return n
}

func (l *line) count(key string) int {
	v, ok := l.key(key)
	if !ok {
		return 0
	}
	return int(l.number(v, 31))
}

func (l *line) peer() wire.Peer   { return wire.Peer(l.number(l.word(), 32)) }
func (l *line) piece() wire.Piece { return wire.Piece(l.number(l.word(), 32)) }

func (l *line) lease() wire.Lease {
	v, ok := l.key("lease")
	if !ok {
		return 0
	}
	return wire.Lease(l.number(v, 64))
}

func (l *line) block() (b wire.Block) {
	piece, rest, ok := strings.Cut(l.word(), ":")
	begin, length, ok2 := strings.Cut(rest, "+")
	if !ok || !ok2 {
		l.fail(errWords)
		return b
	}
	return wire.Block{
		Piece: wire.Piece(l.number(piece, 32)), Begin: uint32(l.number(begin, 32)), Length: uint32(l.number(length, 32)),
	}
}

func (l *line) bytes(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		l.fail(err)
	}
	return b
}

func (l *line) digests() (ds []wire.Digest) {
	v, ok := l.key("digests")
	if !ok {
		return nil
	}
	for w := range strings.SplitSeq(v, ",") {
		var d wire.Digest
		if len(w) > 2*len(d) {
			l.fail(errWords)
			return nil
		}
		copy(d[:], l.bytes(w+strings.Repeat("0", 2*len(d)-len(w))))
		ds = append(ds, d)
	}
	return ds
}

// ParseEvent is the event whose String is s.
func ParseEvent(s string) (Event, error) {
	l := &line{words: strings.Fields(s)}
	e := l.event()
	if l.err == nil && len(l.words) > 0 {
		l.err = errWords
	}
	if l.err != nil {
		return nil, l.err
	}
	return e, nil
}

func (l *line) event() Event {
	word := l.word()
	switch word {
	case "geometry":
		return l.geometry()
	case "connect":
		e := PeerConnect{Peer: l.peer(), Slots: l.count("slots"), Loads: l.count("loads")}
		if l.flag("ranges") {
			e.Kind = Ranges
		}
		e.Fast, e.Incoming = l.flag("fast"), l.flag("incoming")
		if a, ok := l.key("addr"); ok {
			var err error
			if e.Addr, err = netip.ParseAddr(a); err != nil {
				l.fail(err)
			}
		}
		return e
	case "disconnect":
		return PeerDisconnect{l.peer()}
	case "received":
		return l.received()
	case "limits":
		return Limits{l.peer(), l.count("reqq")}
	case "stored":
		return Stored{l.peer(), l.block(), l.lease()}
	case "written":
		return Written{l.peer(), l.count("messages"), l.count("loads")}
	case "unloaded":
		return Unloaded{l.peer(), l.block()}
	case "want":
		return l.want()
	case "unwant":
		return Unwant{wire.Reader(l.number(l.word(), 64))}
	case "upload":
		return Upload{l.flag("on")}
	case "wake":
		return Wake{}
	}
	return l.memory(word)
}

// memory parses the events of the disk cache.
func (l *line) memory(word string) Event {
	switch word {
	case "granted":
		return Granted{l.piece(), l.lease(), l.count("room")}
	case "room":
		return Room{l.lease(), l.count("n")}
	case "revoke":
		return Revoke{l.lease()}
	case "verified":
		return Verified{l.piece(), l.lease(), l.flag("ok"), l.digests()}
	case "evicted":
		return Evicted{l.piece()}
	}
	l.fail(errWords)
	return nil
}

func (l *line) geometry() Event {
	e := Geometry{}
	v, _ := l.key("length")
	e.Length = int64(l.number(v, 63))
	v, _ = l.key("piece")
	e.PieceLength = int64(l.number(v, 63))
	if v, ok := l.key("have"); ok {
		e.Have = l.bytes(v)
	}
	return e
}

func (l *line) want() Event {
	e := Want{Reader: wire.Reader(l.number(l.word(), 64)), Extent: wire.Extent(l.block())}
	v, _ := l.key("deadline")
	var err error
	if e.Deadline, err = time.ParseDuration(v); err != nil {
		l.fail(err)
	}
	v, _ = l.key("class")
	for c, name := range classes {
		if v == name {
			e.Class = Class(c)
			return e
		}
	}
	l.fail(errWords)
	return e
}

// received parses a message by the names that wire.Kind prints.
func (l *line) received() Event {
	e := Received{Peer: l.peer()}
	name := l.word()
	kind := wire.KeepAlive
	for kind <= 255 && kind.String() != name {
		kind++
	}
	if kind > 255 {
		l.fail(errWords)
		return e
	}
	e.Message.Kind = kind
	switch kind {
	case wire.Have, wire.Suggest, wire.AllowedFast:
		e.Message.Piece = l.piece()
	case wire.Request, wire.Cancel, wire.Reject, wire.PieceBlock:
		e.Message = wire.Of(kind, l.block())
	case wire.HaveBitfield:
		if len(l.words) > 0 {
			e.Payload = l.bytes(l.word())
		}
		e.Message.Payload = uint32(len(e.Payload))
	}
	return e
}
