package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// longest is the length of the longest message in these tests: a block's.
const longest = 9 + BlockSize

// messages are heads as bytes, written by hand from the BEPs. Payloads, where
// there are any, do not follow.
var messages = []struct {
	bytes string
	Message
	text string
}{
	{"00000000", Message{Kind: KeepAlive}, "keep-alive"},
	{"00000001 00", Message{Kind: Choke}, "choke"},
	{"00000001 01", Message{Kind: Unchoke}, "unchoke"},
	{"00000001 02", Message{Kind: Interested}, "interested"},
	{"00000001 03", Message{Kind: NotInterested}, "not-interested"},
	{"00000005 04 01020304", Message{Kind: Have, Piece: 0x01020304}, "have 16909060"},
	{"00000005 04 ffffffff", Message{Kind: Have, Piece: 1<<32 - 1}, "have 4294967295"},
	{"00000003 05", Message{Kind: HaveBitfield, Payload: 2}, "bitfield +2"},
	{"00000001 05", Message{Kind: HaveBitfield}, "bitfield +0"},
	{"0000000d 06 00000001 00004000 00004000", Message{Kind: Request, Piece: 1, Begin: 16384, Length: 16384}, "request 1:16384+16384"},
	{"0000000d 06 00000000 fffffff0 00000020", Message{Kind: Request, Begin: 1<<32 - 16, Length: 32}, "request 0:4294967280+32"},
	{"00004009 07 00000001 00004000", Message{Kind: PieceBlock, Piece: 1, Begin: 16384, Length: 16384, Payload: 16384}, "piece 1:16384+16384"},
	{"00000009 07 00000000 00000000", Message{Kind: PieceBlock}, "piece 0:0+0"},
	{"0000000d 08 00000001 00000002 00000003", Message{Kind: Cancel, Piece: 1, Begin: 2, Length: 3}, "cancel 1:2+3"},
	{"00000003 09 1ae1", Message{Kind: Port, Port: 6881}, "port"},
	{"00000005 0d 00000007", Message{Kind: Suggest, Piece: 7}, "suggest 7"},
	{"00000001 0e", Message{Kind: HaveAll}, "have-all"},
	{"00000001 0f", Message{Kind: HaveNone}, "have-none"},
	{"0000000d 10 00000001 00000002 00000003", Message{Kind: Reject, Piece: 1, Begin: 2, Length: 3}, "reject 1:2+3"},
	{"00000005 11 00000007", Message{Kind: AllowedFast, Piece: 7}, "allowed-fast 7"},
	{"00000007 14 03", Message{Kind: Extended, ID: 3, Payload: 5}, "extended id=3 +5"},
	{"00000002 14 00", Message{Kind: Extended}, "extended id=0 +0"},
	{"00000031 15", Message{Kind: HashRequest, Payload: 48}, "hash-request +48"},
	{"00000031 16", Message{Kind: Hashes, Payload: 48}, "hashes +48"},
	{"00000071 16", Message{Kind: Hashes, Payload: 112}, "hashes +112"},
	{"00000031 17", Message{Kind: HashReject, Payload: 48}, "hash-reject +48"},
	// Ids that nobody gave a meaning, those next to ours, and the one that
	// would be −1 if an id were a signed byte.
	{"00000001 0a", Message{Kind: 10}, "unknown-10"},
	{"00000004 12", Message{Kind: 18, Payload: 3}, "unknown-18"},
	{"00000001 13", Message{Kind: 19}, "unknown-19"},
	{"00000001 18", Message{Kind: 24}, "unknown-24"},
	{"00000004 c8", Message{Kind: 200, Payload: 3}, "unknown-200"},
	{"00000001 ff", Message{Kind: 255}, "unknown-255"},
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// streams are the ways a head can be read: from any reader, from a buffered
// one of the right size, and from one that is too small to hold a head.
var streams = map[string]func(io.Reader) io.Reader{
	"any":      func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
	"buffered": func(r io.Reader) io.Reader { return bufio.NewReaderSize(r, HeadSize) },
	"small":    func(r io.Reader) io.Reader { return bufio.NewReaderSize(r, HeadSize-1) },
}

func TestMessages(t *testing.T) {
	for _, c := range messages {
		if b := Append([]byte{42}, c.Message); !bytes.Equal(b[1:], unhex(c.bytes)) || b[0] != 42 {
			t.Errorf("%v: Append gives %x, want %s", c.Message, b, c.bytes)
		}
		if s := c.String(); s != c.text {
			t.Errorf("%s: String is %q, want %q", c.bytes, s, c.text)
		}
		for name, stream := range streams {
			if m, err := ReadHead(stream(bytes.NewReader(unhex(c.bytes))), longest); m != c.Message || err != nil {
				t.Errorf("%s: %s gives %+v, %v", c.bytes, name, m, err)
			}
		}
	}
}

// TestStream reads all messages one after another, with their payloads, from
// streams that come in pieces of every kind.
func TestStream(t *testing.T) {
	var whole []byte
	for _, c := range messages {
		whole = append(whole, unhex(c.bytes)...)
		whole = append(whole, make([]byte, c.Payload)...)
	}
	for cutName, cut := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader,
		"half": iotest.HalfReader, "error with the data": iotest.DataErrReader,
	} {
		for name, stream := range streams {
			t.Run(name+"/"+cutName, func(t *testing.T) {
				r := stream(cut(bytes.NewReader(whole)))
				for _, c := range messages {
					m, err := ReadHead(r, longest)
					if m != c.Message || err != nil {
						t.Fatalf("%v, %v, want %v", m, err, c.Message)
					}
					if n, err := io.CopyN(io.Discard, r, int64(m.Payload)); err != nil {
						t.Fatalf("%v: %d bytes of payload, %v", m, n, err)
					}
				}
				if _, err := ReadHead(r, longest); err != io.EOF {
					t.Errorf("at the end: %v", err)
				}
			})
		}
	}
}

// TestBreak ends the stream, and fails it, at each offset of each head.
func TestBreak(t *testing.T) {
	for _, c := range messages {
		whole := unhex(c.bytes)
		for at := range whole {
			want := io.ErrUnexpectedEOF
			if at == 0 {
				want = io.EOF
			}
			for name, stream := range streams {
				if m, err := ReadHead(stream(bytes.NewReader(whole[:at])), longest); err != want || m != (Message{}) {
					t.Errorf("%s of %v, ended at %d: %v, %v", name, c.Message, at, m, err)
				}
				failing := io.MultiReader(bytes.NewReader(whole[:at]), iotest.ErrReader(os.ErrClosed))
				if m, err := ReadHead(stream(failing), longest); err != os.ErrClosed || m != (Message{}) {
					t.Errorf("%s of %v, failed at %d: %v, %v", name, c.Message, at, m, err)
				}
			}
		}
	}
}

// late is a stream whose every second Read is over its deadline.
type late struct {
	r   io.Reader
	now bool
}

func (l *late) Read(b []byte) (int, error) {
	if l.now = !l.now; l.now {
		return 0, os.ErrDeadlineExceeded
	}
	return l.r.Read(b[:1])
}

// TestResume: a deadline inside a head loses nothing of it.
func TestResume(t *testing.T) {
	for _, c := range messages {
		r := bufio.NewReaderSize(&late{r: bytes.NewReader(unhex(c.bytes))}, HeadSize)
		m, err := ReadHead(r, longest)
		for errors.Is(err, os.ErrDeadlineExceeded) {
			m, err = ReadHead(r, longest)
		}
		if m != c.Message || err != nil {
			t.Errorf("%v, %v, want %v", m, err, c.Message)
		}
	}
}

func TestBadHeads(t *testing.T) {
	for _, c := range []struct {
		bytes string
		want  error
	}{
		{"ffffffff 07", ErrTooLong},
		{"00200000 07", ErrTooLong},
		{"0000400a 07", ErrTooLong}, // one over the longest
		{"0000400a", ErrTooLong},    // known before the id is there
		{"00000005 00 61626364", ErrLength},
		{"00000002 0e 00", ErrLength},
		{"00000004 04 000000", ErrLength},
		{"00000006 04 0000000000", ErrLength},
		{"00000001 04", ErrLength},
		{"0000000c 06", ErrLength},
		{"0000000e 06", ErrLength},
		{"00000008 07", ErrLength},
		{"00000002 09", ErrLength},
		{"00000004 09", ErrLength},
		{"0000000e 10", ErrLength},
		{"00000006 11", ErrLength},
		{"00000001 14", ErrLength}, // extended, without its id
		{"00000030 15", ErrLength},
		{"00000032 15", ErrLength},
		{"00000051 15", ErrLength},
		{"00000030 16", ErrLength},
		{"00000032 16", ErrLength}, // not whole hashes
		{"00000051 17", ErrLength},
	} {
		for name, stream := range streams {
			// What is wrong is known from what is there: the rest of the
			// message, which may never come, is not waited for.
			stuck := io.MultiReader(bytes.NewReader(unhex(c.bytes)), iotest.ErrReader(errors.New("read on")))
			if m, err := ReadHead(stream(stuck), longest); err != c.want || m != (Message{}) {
				t.Errorf("%s of %s: %v, %v, want %v", name, c.bytes, m, err, c.want)
			}
		}
	}
}

func TestAppendPanics(t *testing.T) {
	for _, m := range []Message{{Kind: -2}, {Kind: 256}, {Kind: Choke, Payload: 1}, {Kind: Request, Payload: 1}, {Kind: HashReject}, {Kind: Hashes, Payload: 49}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was encoded", m)
				}
			}()
			Append(nil, m)
		}()
	}
}

func TestOf(t *testing.T) {
	b := Block{1, BlockSize, 5}
	for k, payload := range map[Kind]uint32{Request: 0, Cancel: 0, Reject: 0, PieceBlock: 5} {
		if m := Of(k, b); m.Kind != k || m.Block() != b || m.Payload != payload {
			t.Errorf("%v %v is %+v", k, b, m)
		}
	}
}

// FuzzReadHead: both ways of reading agree, take the same bytes, and what they
// read is what Append writes.
func FuzzReadHead(f *testing.F) {
	for _, c := range messages {
		f.Add(unhex(c.bytes), uint32(longest))
	}
	f.Add(unhex("ffffffff07"), uint32(longest))
	f.Add(unhex("0000000500"), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, b []byte, longest uint32) {
		plain := bytes.NewReader(b)
		buffered := bufio.NewReaderSize(bytes.NewReader(b), HeadSize)
		for {
			before := len(b) - plain.Len()
			m, err := ReadHead(plain, longest)
			m2, err2 := ReadHead(buffered, longest)
			if m != m2 || err != err2 {
				t.Fatalf("plain: %+v, %v; buffered: %+v, %v", m, err, m2, err2)
			}
			if err != nil {
				return
			}
			head := b[before : len(b)-plain.Len()]
			if out := Append(nil, m); !bytes.Equal(out, head) {
				t.Fatalf("%x is read as %+v, which is written as %x", head, m, out)
			}
			n, _ := io.CopyN(io.Discard, plain, int64(m.Payload))
			n2, _ := io.CopyN(io.Discard, buffered, int64(m.Payload))
			if n != n2 {
				t.Fatalf("payloads of %d and %d bytes", n, n2)
			}
		}
	})
}

// FuzzAppend: what Append writes is read as what it was.
func FuzzAppend(f *testing.F) {
	for _, c := range messages {
		f.Add(int16(c.Kind), c.ID, c.Port, uint32(c.Piece), c.Begin, c.Length, c.Payload)
	}
	f.Fuzz(func(t *testing.T, kind int16, id uint8, port uint16, piece, begin, length, payload uint32) {
		m := Message{Kind: Kind(kind), Payload: payload % (1 << 20)}
		if m.Kind < KeepAlive || m.Kind > 255 {
			return
		}
		switch m.Kind {
		case KeepAlive, Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
			m.Payload = 0
		case Have, Suggest, AllowedFast:
			m.Piece, m.Payload = Piece(piece), 0
		case Request, Cancel, Reject:
			m = Of(m.Kind, Block{Piece(piece), begin, length})
		case PieceBlock:
			m = Of(m.Kind, Block{Piece(piece), begin, m.Payload})
		case Port:
			m.Port, m.Payload = port, 0
		case Extended:
			m.ID = id
		case HashRequest, HashReject:
			m.Payload = uint32(HashRangeSize)
		case Hashes:
			m.Payload = uint32(HashRangeSize) + payload%(MaxHashes+MaxHashLayers+1)*32
		}
		r := bytes.NewReader(Append(nil, m))
		if got, err := ReadHead(r, 1<<21); got != m || err != nil || r.Len() != 0 {
			t.Fatalf("%+v is read as %+v, %v", m, got, err)
		}
	})
}

// hot are the messages that come once a block.
var hot = []Message{
	Of(Request, Block{1, BlockSize, BlockSize}), Of(PieceBlock, Block{1, BlockSize, BlockSize}),
	Of(Cancel, Block{1, BlockSize, BlockSize}), {Kind: Have, Piece: 1},
}

// endless repeats b for ever.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}

func TestAllocations(t *testing.T) {
	for _, c := range messages {
		r := bufio.NewReaderSize(&endless{b: unhex(c.bytes)}, HeadSize)
		b := make([]byte, 0, HeadSize)
		if n := testing.AllocsPerRun(100, func() {
			m, err := ReadHead(r, longest)
			b = Append(b[:0], m)
			if err != nil || m != c.Message {
				t.Fatal(m, err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", c.Message, n)
		}
	}
}

func BenchmarkReadHead(b *testing.B) {
	for _, m := range hot {
		for _, name := range []string{"buffered", "any"} {
			b.Run(m.Kind.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				r := streams[name](&endless{b: Append(nil, m)})
				for b.Loop() {
					if got, err := ReadHead(r, longest); got != m || err != nil {
						b.Fatal(got, err)
					}
				}
			})
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, m := range hot {
		b.Run(m.Kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, HeadSize)
			for b.Loop() {
				buf = Append(buf[:0], m)
			}
		})
	}
}
