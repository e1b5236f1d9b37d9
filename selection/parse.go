package selection

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"bipfs/wire"
)

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

func (l *line) bytesOf(key string) int64 {
	v, ok := l.key(key)
	if !ok {
		return 0
	}
	return int64(l.number(v, 62))
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

func (l *line) blocks() (bs []int) {
	v, ok := l.key("blocks")
	if !ok {
		return nil
	}
	for w := range strings.SplitSeq(v, ",") {
		bs = append(bs, int(l.number(w, 15)))
	}
	return bs
}

func (l *line) guilty() (peers []wire.Peer) {
	v, ok := l.key("guilty")
	if !ok {
		return nil
	}
	for w := range strings.SplitSeq(v, ",") {
		peers = append(peers, wire.Peer(l.number(w, 32)))
	}
	return peers
}

func (l *line) block() wire.Block { return l.blockOf(l.word()) }

func (l *line) blockOf(word string) (b wire.Block) {
	piece, rest, ok := strings.Cut(word, ":")
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

func (l *line) digests(key string) (ds []wire.Digest) {
	v, ok := l.key(key)
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
		if d, ok := l.key("trip"); ok {
			var err error
			if e.Trip, err = time.ParseDuration(d); err != nil {
				l.fail(err)
			}
		}
		return e
	case "disconnect":
		return PeerDisconnect{l.peer()}
	case "received":
		return l.received()
	case "limits":
		return Limits{l.peer(), l.count("reqq"), uint8(l.count("dont-have"))}
	case "dont-have":
		return DontHave{l.peer(), l.piece()}
	case "allow":
		e := Allow{Peer: l.peer()}
		for len(l.words) > 0 && l.err == nil {
			e.Pieces = append(e.Pieces, l.piece())
		}
		return e
	case "stored":
		return Stored{l.peer(), l.block(), l.lease()}
	case "written":
		return Written{l.peer(), l.count("messages"), l.count("loads")}
	case "unloaded":
		return Unloaded{l.peer(), l.block()}
	case "starved":
		return Starved{l.peer(), l.block()}
	case "want":
		return l.want()
	case "unwant":
		return Unwant{wire.Reader(l.number(l.word(), 64))}
	case "upload":
		return Upload{l.flag("on")}
	case "wake":
		return Wake{}
	case "aside":
		return Aside{}
	case "limited":
		return Limited{l.flag("down"), l.flag("background"), l.flag("up")}
	case "credit":
		return Credit{l.bytesOf("down"), l.bytesOf("background"), l.bytesOf("up")}
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
		return Verified{l.piece(), l.lease(), l.flag("ok"), l.digests("digests"), l.digests("came"), l.flag("kept"), l.guilty()}
	case "proven":
		return Proven{l.piece(), l.lease(), l.blocks()}
	case "spoiled":
		return Spoiled{l.peer(), l.piece(), l.lease(), l.blocks()}
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
	e.V2Only, e.Leaves = l.flag("v2"), l.flag("leaves")
	if v, ok := l.key("tails"); ok {
		for w := range strings.SplitSeq(v, ",") {
			e.Tails = append(e.Tails, wire.Extent(l.blockOf(w)))
		}
	}
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
