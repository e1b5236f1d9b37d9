package swarm

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/handshake"
	"bipfs/wire"
	"bipfs/wire/extension"
)

// pieceLength is that of the tests: eight blocks.
const pieceLength = 128 << 10

// made is a torrent of four pieces and what is in it.
func made(t *testing.T) (Content, []byte) {
	t.Helper()
	b := make([]byte, 4*pieceLength-100)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	c := Content{Torrent: filepath.Join(t.TempDir(), "x.torrent"), Image: filepath.Join(t.TempDir(), "x")}
	if err := os.WriteFile(c.Image, b, 0o644); err != nil {
		t.Fatal(err)
	}
	made, err := metainfo.Create(t.Context(), c.Image, metainfo.CreateOptions{PieceLength: pieceLength})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Torrent, made.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	return c, b
}

// dialled is a client's connection to a seeder, in false time, over a pipe.
type dialled struct {
	t      *testing.T
	s      *swarm
	seeder *seeder
	net.Conn
	r       *bufio.Reader
	content []byte
	begun   time.Time
}

// meeting lets a client meet a seeder of a manner.
func meeting(t *testing.T, m Manner, with func(d *dialled)) {
	c, content := made(t)
	synctest.Test(t, func(t *testing.T) {
		s := &swarm{torrents: make(map[[20]byte]*torrent)}
		s.ctx, s.stop = context.WithCancel(t.Context())
		to, err := openTorrent(c)
		if err != nil {
			t.Fatal(err)
		}
		s.torrents[to.infohash] = to
		e := newSeeder(s, Seeder{Manner: m}, 1, 0)
		s.seeders = []*seeder{e}
		here, there := net.Pipe()
		d := &dialled{t: t, s: s, seeder: e, Conn: here, r: bufio.NewReader(here), content: content, begun: time.Now()}
		s.wg.Go(func() { e.accept(there) })
		with(d)
		here.Close()
		s.close()
	})
}

func (d *dialled) say(b []byte) {
	d.t.Helper()
	d.SetDeadline(time.Now().Add(time.Minute))
	if _, err := d.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// hello shakes hands, with the fast extension and BEP 10, and reads up to
// have-all.
func (d *dialled) hello() (e extension.Handshake) {
	d.t.Helper()
	var infohash [20]byte
	for infohash = range d.s.torrents {
	}
	reserved := [8]byte{extendedByte: extendedBit, fastByte: fastBit}
	d.say(handshake.Append(nil, reserved, infohash, [20]byte{1}))
	if _, err := io.ReadFull(d.r, make([]byte, handshake.HandshakeSize)); err != nil {
		d.t.Fatal(err)
	}
	e, err := extension.ParseHandshake(d.payload(d.hears(wire.Extended)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.hears(wire.HaveAll)
	return e
}

// hears is the next message, which is of a kind.
func (d *dialled) hears(k wire.Kind) wire.Message {
	d.t.Helper()
	m, err := wire.ReadHead(d.r, longestMessage)
	if err != nil || m.Kind != k {
		d.t.Fatalf("%v, %v, want %v", m, err, k)
	}
	return m
}

func (d *dialled) payload(m wire.Message) []byte {
	d.t.Helper()
	b := make([]byte, m.Payload)
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.t.Fatal(err)
	}
	return b
}

// gets is the next message, a block, and whether its bytes are right.
func (d *dialled) gets(b wire.Block) (right bool) {
	d.t.Helper()
	m := d.hears(wire.PieceBlock)
	if m.Block() != b {
		d.t.Fatalf("got %v, asked for %v", m.Block(), b)
	}
	at := int64(b.Piece)*pieceLength + int64(b.Begin)
	return bytes.Equal(d.payload(m), d.content[at:][:b.Length])
}

// silence fails the test if anything is heard within a while.
func (d *dialled) silence(within time.Duration) {
	d.t.Helper()
	d.SetReadDeadline(time.Now().Add(within))
	if m, err := wire.ReadHead(d.r, longestMessage); err == nil {
		d.t.Fatalf("heard %v", m)
	}
}

func message(k wire.Kind) []byte { return wire.Append(nil, wire.Message{Kind: k}) }

func block(i int) wire.Block {
	return wire.Block{Piece: wire.Piece(i / 8), Begin: uint32(i%8) * wire.BlockSize, Length: wire.BlockSize}
}

// ask asks for the blocks [from, to) at once.
func (d *dialled) ask(from, to int) {
	d.t.Helper()
	var b []byte
	for i := from; i < to; i++ {
		b = wire.Append(b, wire.Of(wire.Request, block(i)))
	}
	d.say(b)
}

// after fails the test unless so much time has passed since the dial.
func (d *dialled) after(want time.Duration) {
	d.t.Helper()
	if got := time.Since(d.begun).Round(time.Millisecond); got != want {
		d.t.Errorf("%v after the dial, want %v", got, want)
	}
}

// TestGood: the metadata, the blocks, and what it counts.
func TestGood(t *testing.T) {
	meeting(t, Manner{}, func(d *dialled) {
		if e := d.hello(); e.M[extension.UTMetadata] != metadataID || e.MetadataSize == 0 || e.Reqq != reqq {
			t.Errorf("it says of itself: %+v", e)
		}
		mine := extension.Handshake{M: map[string]uint8{extension.UTMetadata: 9}}.Append(nil)
		d.say(append(wire.Append(nil, wire.Message{Kind: wire.Extended, Payload: uint32(len(mine))}), mine...))
		ask := extension.Metadata{Type: extension.MetadataRequest}.Append(nil)
		d.say(append(wire.Append(nil, wire.Message{Kind: wire.Extended, ID: metadataID, Payload: uint32(len(ask))}), ask...))
		m := d.hears(wire.Extended)
		part, err := extension.ParseMetadata(d.payload(m))
		if err != nil || m.ID != 9 || part.Type != extension.MetadataData {
			t.Errorf("metadata: %v, %v", m, err)
		}
		d.say(message(wire.Interested))
		d.hears(wire.Unchoke)
		d.ask(0, 20)
		for i := range 20 {
			if !d.gets(block(i)) {
				t.Errorf("block %d is wrong", i)
			}
		}
		d.ask(3, 4)
		d.gets(block(3))
		over := wire.Block{Piece: 3, Begin: 7 * wire.BlockSize, Length: wire.BlockSize}
		d.say(wire.Append(nil, wire.Of(wire.Request, over))) // 100 bytes more than there are
		if d.hears(wire.Reject).Block() != over {
			t.Error("it rejects another block")
		}
		want := Sent{Bytes: 21 * wire.BlockSize, Requests: 22, Twice: wire.BlockSize, Connected: 1}
		if got := d.seeder.sent.load(); got != want {
			t.Errorf("it counts %+v, want %+v", got, want)
		}
	})
}

// TestDelay: to connect takes a round trip, to shake hands another one, to be
// unchoked a third and to get a block the fourth.
func TestDelay(t *testing.T) {
	meeting(t, Manner{Delay: 25 * time.Millisecond}, func(d *dialled) {
		d.hello()
		d.after(100 * time.Millisecond)
		d.say(message(wire.Interested))
		d.hears(wire.Unchoke)
		d.after(150 * time.Millisecond)
		d.ask(0, 2)
		d.gets(block(0))
		d.gets(block(1))
		d.after(200 * time.Millisecond)
	})
}

// TestJitter: bytes are late by no more than the jitter, and in order.
func TestJitter(t *testing.T) {
	const delay, jitter = 25 * time.Millisecond, 10 * time.Millisecond
	meeting(t, Manner{Delay: delay, Jitter: jitter}, func(d *dialled) {
		d.hello()
		took := make(map[time.Duration]bool)
		for i := range 20 {
			asked := time.Now()
			d.ask(i, i+1)
			if !d.gets(block(i)) {
				t.Errorf("block %d is wrong", i)
			}
			late := time.Since(asked)
			if late < 2*delay || late >= 2*(delay+jitter) {
				t.Errorf("a block took %v", late)
			}
			took[late] = true
		}
		if len(took) < 2 {
			t.Error("every block took the same time")
		}
	})
}

// TestRate: 16 blocks of 16 KiB at 1 MiB/s take a quarter of a second, and a link
// that was idle has saved nothing up.
func TestRate(t *testing.T) {
	meeting(t, Manner{Rate: 1 << 20}, func(d *dialled) {
		d.hello()
		for turn := range 2 {
			time.Sleep(time.Second - 250*time.Millisecond)
			d.ask(0, 16)
			for i := range 16 {
				d.gets(block(i))
			}
			d.after(time.Duration(turn+1) * time.Second)
		}
	})
}

// TestCancel: what is cancelled in time is rejected and not sent.
func TestCancel(t *testing.T) {
	meeting(t, Manner{Rate: 1 << 20}, func(d *dialled) {
		d.hello()
		d.ask(0, 3)
		d.say(wire.Append(nil, wire.Of(wire.Cancel, block(2))))
		heard := make(map[wire.Block]wire.Kind)
		for range 3 {
			m, err := wire.ReadHead(d.r, longestMessage)
			if err != nil {
				t.Fatal(err)
			}
			d.payload(m)
			heard[m.Block()] = m.Kind
		}
		if heard[block(0)] != wire.PieceBlock || heard[block(1)] != wire.PieceBlock || heard[block(2)] != wire.Reject {
			t.Errorf("heard %v", heard)
		}
		d.silence(time.Second)
		if n := d.seeder.sent.load().Cancels; n != 1 {
			t.Errorf("%d cancels counted", n)
		}
	})
}

// TestBad: those that are silent, stop, lie or pause.
func TestBad(t *testing.T) {
	meeting(t, Manner{Silent: true}, func(d *dialled) {
		d.hello()
		d.ask(0, 3)
		d.say(wire.Append(nil, wire.Of(wire.Cancel, block(2))))
		d.silence(time.Minute)
	})
	meeting(t, Manner{Rate: 1 << 20, StopAfter: 2 * wire.BlockSize}, func(d *dialled) {
		d.hello()
		d.ask(0, 3)
		d.gets(block(0))
		d.gets(block(1))
		d.silence(time.Minute)
	})
	meeting(t, Manner{Corrupt: true}, func(d *dialled) {
		d.hello()
		d.ask(0, 1)
		if d.gets(block(0)) {
			t.Error("it does not lie")
		}
	})
	meeting(t, Manner{Rate: 1 << 20, Pauses: time.Second}, func(d *dialled) {
		d.hello()
		var pauses int
		for i := range 32 * 10 { // at least 5 s
			d.ask(i%31, i%31+1)
			began := time.Now()
			d.gets(block(i % 31))
			if took := time.Since(began); took > PauseTime {
				pauses++
			} else if took > 20*time.Millisecond {
				t.Errorf("a block took %v", took)
			}
		}
		if pauses == 0 {
			t.Error("it has not paused")
		}
	})
}
