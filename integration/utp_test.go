package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"bipfs/engine"
	"bipfs/handshake/utp"
	"bipfs/wire"
)

// openNetwork is a door to the network.
func openNetwork(t testing.TB) *engine.Network {
	t.Helper()
	n, err := engine.NewNetwork(engine.NetworkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// utpSocket is a UDP socket of ours on the loopback device, with uTP on it.
func utpSocket(t testing.TB) (*utp.Socket, string) {
	t.Helper()
	u, err := openNetwork(t).ListenPacket(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := utp.New(u, utp.Config{})
	u.HandleUTP(s.Deliver)
	t.Cleanup(func() {
		s.Close()
		u.Close()
	})
	return s, u.LocalAddr().String()
}

func utpDial(t testing.TB, s *utp.Socket, addr string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := s.Dial(ctx, netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatalf("dial %s over uTP: %v", addr, err)
	}
	return c
}

// libtorrentUTP starts a libtorrent session without TCP: seed, or leech from a
// peer.
func libtorrentUTP(t testing.TB, role, folder, peer string, to *torrent) *client {
	t.Helper()
	needLibtorrent(t)
	c := &client{addr: net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))}
	argv := []string{python, "testdata/client.py", "utp-" + role, c.addr, folder}
	if role == "leech" {
		argv = append(argv, peer)
	}
	c.process = start(t, "libtorrent-utp-"+role, append(argv, to.file)...)
	c.prints("ready", 20*time.Second)
	return c
}

// plainLeech downloads a torrent of one file from one peer and compares it with
// the original.
func plainLeech(conn net.Conn, to *torrent) error {
	conn.SetDeadline(time.Now().Add(3 * time.Minute))
	content, err := os.ReadFile(to.content)
	if err != nil {
		return err
	}
	hello := append([]byte("\x13BitTorrent protocol"), make([]byte, 8)...)
	hello = append(hello, to.Info.Hash[:]...)
	if _, err := conn.Write(append(hello, "-XX0001-abcdefghijkl"...)); err != nil {
		return err
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	var answer [68]byte
	if _, err := io.ReadFull(r, answer[:]); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if !bytes.Equal(answer[28:48], to.Info.Hash[:]) {
		return errors.New("the answer is for another torrent")
	}
	if _, err := conn.Write(wire.Append(nil, wire.Message{Kind: wire.Interested})); err != nil {
		return err
	}
	var asked, got int64
	size := int64(len(content))
	block := make([]byte, wire.BlockSize)
	for unchoked := false; got < size; {
		var b []byte
		for ; unchoked && asked < size && asked-got < 4<<20; asked += wire.BlockSize {
			p := asked / to.Info.PieceLength
			b = wire.Append(b, wire.Message{Kind: wire.Request, Piece: wire.Piece(p), Begin: uint32(asked % to.Info.PieceLength),
				Length: uint32(min(wire.BlockSize, size-asked))})
		}
		if len(b) > 0 {
			if _, err := conn.Write(b); err != nil {
				return err
			}
		}
		m, err := wire.ReadHead(r, 1<<20)
		if err != nil {
			return err
		}
		if m.Kind != wire.PieceBlock {
			unchoked = unchoked || m.Kind == wire.Unchoke
			if _, err := r.Discard(int(m.Payload)); err != nil {
				return err
			}
			continue
		}
		if _, err := io.ReadFull(r, block[:m.Payload]); err != nil {
			return err
		}
		at := to.Info.Offset(m.Piece, m.Begin)
		if !bytes.Equal(block[:m.Payload], content[at:at+int64(m.Payload)]) {
			return fmt.Errorf("piece %d at %d is wrong", m.Piece, m.Begin)
		}
		got += int64(m.Payload)
	}
	return nil
}

// utpSeeder is a scripted seeder that listens on a uTP socket of ours.
func utpSeeder(t testing.TB, to *torrent) (addr string) {
	t.Helper()
	s, addr := utpSocket(t)
	f, err := os.Open(to.content)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: addr, ln: s.Listen(), files: map[wire.Digest]*shared{to.Info.Hash: {to.Info, f}}, conns: make(map[net.Conn]bool)}
	p.serving.Add(1)
	go p.accept()
	t.Cleanup(func() {
		p.close()
		f.Close()
	})
	return addr
}

// TestUTPWithLibtorrent: libtorrent, without TCP, sends us a torrent and takes
// one from us; then over a path with delay and loss.
func TestUTPWithLibtorrent(t *testing.T) {
	long(t)
	t.Parallel()
	needLibtorrent(t)
	to := torrentOf(t, smallFile(t), 256<<10)
	through := map[string]func(string) string{
		"near": func(addr string) string { return addr },
		"far":  func(addr string) string { return relay(t, addr, world50) },
	}
	for name, way := range through {
		t.Run("seeds "+name, func(t *testing.T) {
			seeder := libtorrentUTP(t, "seed", contentDir(), "", to)
			s, _ := utpSocket(t)
			conn := utpDial(t, s, way(seeder.addr))
			began := time.Now()
			if err := plainLeech(conn, to); err != nil {
				t.Fatal(err)
			}
			t.Logf("%.2f MB/s", 8.4/time.Since(began).Seconds())
			conn.Close()
		})
		t.Run("leeches "+name, func(t *testing.T) {
			began := time.Now()
			leech := libtorrentUTP(t, "leech", tempDir(t), way(utpSeeder(t, to)), to)
			leech.prints("done", 3*time.Minute)
			t.Logf("%.2f MB/s", 8.4/time.Since(began).Seconds())
		})
	}
}
