package mse

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// pair is two ends of an RC4 stream over a pipe.
func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	x, y, _, _ := meet(t, Initiator{SKey: skey, Provide: RC4}, Receiver{Find: only(skey), Accept: RC4})
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	return x.Conn.(*Conn), y.Conn.(*Conn)
}

// vectors are shapes of what is written at once.
var vectors = [][]int{
	{}, {0}, {1}, {0, 0, 5, 0}, {17, 16384, 17, 16384, 17}, {scratchSize - 1, 2}, {scratchSize}, {scratchSize, 0},
	{scratchSize + 1}, {5 * scratchSize}, {0, scratchSize, 0, 1, 0}, {13, 8 * scratchSize, 13},
}

// fill makes parts of the lengths, and all of them in one.
func fill(lengths []int) (v net.Buffers, all []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range lengths {
		part := make([]byte, n)
		for i := range part {
			part[i] = byte(r.Uint32())
		}
		v = append(v, part)
		all = append(all, part...)
	}
	return v, all
}

// TestWriteBuffers brings every byte over and changes none of those that it
// was lent.
func TestWriteBuffers(t *testing.T) {
	for _, lengths := range vectors {
		a, b := pair(t)
		v, all := fill(lengths)
		kept := slices.Clone(v)
		got := make([]byte, len(all))
		read := make(chan error)
		go func() {
			_, err := io.ReadFull(b, got)
			read <- err
		}()
		n, err := a.WriteBuffers(&v)
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		if n != int64(len(all)) || err != nil || len(v) != 0 || !bytes.Equal(got, all) {
			t.Errorf("%v: wrote %d, %v, left %d", lengths, n, err, len(v))
		}
		if !bytes.Equal(slices.Concat(kept...), all) {
			t.Errorf("%v: what was lent has changed", lengths)
		}
		if a.scratch != nil || len(a.pending) != 0 {
			t.Errorf("%v: a connection with nothing to write holds memory", lengths)
		}
	}
}

// TestWriteGoesOn after each of many deadlines, with not a byte lost or twice.
func TestWriteGoesOn(t *testing.T) {
	for _, lengths := range vectors {
		synctest.Test(t, func(t *testing.T) {
			a, b := pair(t)
			v, all := fill(lengths)
			var got []byte
			read := make(chan struct{})
			go func() {
				defer close(read)
				part := make([]byte, 5000)
				for len(got) < len(all) {
					time.Sleep(time.Second)
					n, err := b.Read(part)
					got = append(got, part[:n]...)
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
			var sum int64
			for err := os.ErrDeadlineExceeded; err != nil; {
				a.SetWriteDeadline(time.Now().Add(700 * time.Millisecond))
				var n int64
				n, err = writeAgain(a, &v)
				sum += n
			}
			<-read
			if sum != int64(len(all)) || !bytes.Equal(got, all) {
				t.Errorf("%v: wrote %d bytes of %d, right: %v", lengths, sum, len(all), bytes.Equal(got, all))
			}
		})
	}
}

// writeAgain is WriteBuffers, of which an error must be a deadline.
func writeAgain(c *Conn, v *net.Buffers) (int64, error) {
	n, err := c.WriteBuffers(v)
	if err != nil && !os.IsTimeout(err) {
		panic(err)
	}
	return n, err
}

// TestReadError gives the bytes that came with it.
func TestReadError(t *testing.T) {
	a, b := pair(t)
	go func() {
		a.Write([]byte("the end"))
		a.Close()
	}()
	if got, err := io.ReadAll(b); string(got) != "the end" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// BenchmarkHandshake is both sides of a handshake: four powers modulo p.
func BenchmarkHandshake(b *testing.B) {
	for b.Loop() {
		near, far := net.Pipe()
		done := make(chan error)
		go func() {
			_, err := Receiver{Find: only(skey), Accept: RC4}.Handshake(far, nil)
			done <- err
		}()
		_, err := Initiator{SKey: skey, Provide: RC4, IA: hello}.Handshake(near)
		if other := <-done; err != nil || other != nil {
			b.Fatal(err, other)
		}
		near.Close()
		far.Close()
	}
}
