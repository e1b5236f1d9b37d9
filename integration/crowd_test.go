package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/wire"
	"bipfs/wire/extension"
)

// A crowd is peers that connect, say what a real client says at first, and then
// only keep the connection. Each comes from an address of its own.
type crowd struct {
	conns []net.Conn
	gone  atomic.Int64 // that the program has closed
	over  atomic.Bool
	wg    sync.WaitGroup
}

// crowdAddr is the address of peer n of all crowds, in a network that is this
// machine's own.
func crowdAddr(n int) net.IP { return net.IPv4(127, 77, byte(n>>8), byte(n)) }

// join connects n peers to one torrent of the program at addr, numbered from
// first on. A third has everything, a third some, a third nothing and wants it.
func (c *crowd) join(t testing.TB, addr string, to *torrent, first, n int) {
	t.Helper()
	failed := make(chan error, n)
	var joining sync.WaitGroup
	gate := make(chan struct{}, 24) // far below what the program lets wait
	made := make([]net.Conn, n)
	for i := range n {
		joining.Add(1)
		go func() {
			defer joining.Done()
			gate <- struct{}{}
			defer func() { <-gate }()
			conn, err := joinCrowd(addr, to, first+i)
			if err != nil {
				failed <- fmt.Errorf("peer %d: %w", first+i, err)
				return
			}
			made[i] = conn
		}()
	}
	joining.Wait()
	for _, conn := range made {
		if conn == nil {
			continue
		}
		c.conns = append(c.conns, conn)
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			io.Copy(io.Discard, conn)
			if !c.over.Load() {
				c.gone.Add(1)
			}
		}()
	}
	select {
	case err := <-failed:
		t.Fatalf("%d of %d could not join: %v", len(failed)+1, n, err)
	default:
	}
}

// joinCrowd is the handshake of one peer, and what it says first. It is in when
// it hears something behind the handshake.
func joinCrowd(addr string, to *torrent, number int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: crowdAddr(number)}, Timeout: longEnough}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(longEnough))
	hello := append([]byte("\x13BitTorrent protocol"), 0, 0, 0, 0, 0, 0x10, 0, 0x04)
	hello = append(append(hello, to.Info.Hash[:20]...), fmt.Sprintf("-XX0001-%012d", number)...)
	greeting := extension.Handshake{
		M: map[string]uint8{extension.UTMetadata: 3, extension.UTPex: 1, extension.LTDontHave: 7},
		V: "crowd 1.0", Reqq: 500, Port: 10_000 + number,
	}.Append(nil)
	hello = wire.Append(hello, wire.Message{Kind: wire.Extended, Payload: uint32(len(greeting))})
	hello = append(hello, greeting...)
	switch number % 3 {
	case 0:
		hello = wire.Append(hello, wire.Message{Kind: wire.HaveAll})
	case 1:
		some := wire.NewBitfield(to.Info.Pieces())
		for i := range to.Info.Pieces() {
			if (i*7+number)%5 < 3 {
				some.Set(wire.Piece(i))
			}
		}
		hello = wire.Append(hello, wire.Message{Kind: wire.HaveBitfield, Payload: uint32(len(some))})
		hello = append(hello, some...)
	case 2:
		hello = wire.Append(hello, wire.Message{Kind: wire.HaveNone})
		hello = wire.Append(hello, wire.Message{Kind: wire.Interested})
	}
	if _, err = conn.Write(hello); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 68+1))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

// close ends the crowd.
func (c *crowd) close() {
	c.over.Store(true)
	for _, conn := range c.conns {
		conn.Close()
	}
	c.wg.Wait()
}

// cpuTime is the processor time of a process so far.
func (p *process) cpuTime() time.Duration {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(after)
	var user, system int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 everywhere
}
