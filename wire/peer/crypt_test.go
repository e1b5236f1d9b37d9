package peer

import (
	"net"
	"sync"
	"testing"

	"bipfs/handshake/mse"
	"bipfs/wire"
)

// encrypted makes RC4 streams of the ends of a connection.
func encrypted(t testing.TB, near, far net.Conn) (a, b net.Conn) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	keep := func(to *net.Conn, s *mse.Session, err error) {
		if err != nil {
			t.Error(err)
			near.Close()
			far.Close()
			return
		}
		*to = s.Conn
	}
	wg.Go(func() {
		s, err := mse.Initiator{Provide: mse.RC4}.Handshake(near)
		keep(&a, s, err)
	})
	find := func([20]byte) (infohash [20]byte, known bool) { return [20]byte{}, true }
	s, err := mse.Receiver{Find: find, Accept: mse.RC4}.Handshake(far, nil)
	keep(&b, s, err)
	wg.Wait()
	return a, b
}

// TestTransferEncrypted moves blocks over an encrypted stream. What is lent is
// one block, so it would not do to encrypt it in its place.
func TestTransferEncrypted(t *testing.T) {
	want := wire.Buf(content(block(1, 2)))
	check := func(b *wire.Buf) {
		if *b != want {
			t.Error("wrong bytes")
		}
		*b = wire.Buf{}
	}
	for _, c := range []struct{ blocks, queue int }{{2000, 128}, {2000, 1}} {
		near, far := pair(t)
		near, far = encrypted(t, near, far)
		s, l := transferOver(t, near, far, c.blocks, c.queue, check)
		if payload := int64(c.blocks) * wire.BlockSize; s.UploadedPayload != payload || l.DownloadedPayload != payload || l.Wasted != 0 {
			t.Errorf("%v: %+v, %+v", c, s, l)
		}
	}
}

// BenchmarkConn is both ends of one connection on loopback, in plain and
// encrypted.
func BenchmarkConn(b *testing.B) {
	for _, how := range []string{"plain", "RC4"} {
		b.Run(how, func(b *testing.B) {
			near, far := pair(b)
			if how == "RC4" {
				near, far = encrypted(b, near, far)
			}
			b.SetBytes(wire.BlockSize)
			b.ReportAllocs()
			b.ResetTimer()
			transferOver(b, near, far, b.N, 256, nil)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
