package integration

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// A line is what a relay does to datagrams.
type line struct {
	delay time.Duration // each way
	loss  float64       // each way
	mtu   int           // of UDP payload; longer ones are lost
	seed  uint64
}

// world50 is a path through the world: 50 ms there and back, 1 % loss, ethernet.
var world50 = line{delay: 25 * time.Millisecond, loss: 0.01, mtu: 1472, seed: 1}

// relay passes datagrams on between whoever sends to its address and the
// server, over a line. It ends with the test.
func relay(t testing.TB, server string, l line) (addr string) {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relaying{line: l, to: to.AddrPort(), backs: make(map[netip.AddrPort]*net.UDPConn), front: front}
	front.SetReadBuffer(4 << 20)
	r.wg.Add(1)
	go r.there()
	t.Cleanup(func() {
		front.Close()
		r.mu.Lock()
		for _, b := range r.backs {
			b.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return front.LocalAddr().String()
}

type relaying struct {
	line
	to    netip.AddrPort
	front *net.UDPConn
	wg    sync.WaitGroup
	mu    sync.Mutex
	backs map[netip.AddrPort]*net.UDPConn
}

// there takes datagrams to the server, each client's from a socket of its own.
func (r *relaying) there() {
	defer r.wg.Done()
	outs := make(map[netip.AddrPort]chan<- delayed)
	defer func() {
		for _, c := range outs {
			close(c)
		}
	}()
	chance := rand.New(rand.NewPCG(r.seed, 0))
	b := make([]byte, 64<<10)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if outs[from] == nil {
			back, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				return
			}
			back.SetReadBuffer(4 << 20)
			r.mu.Lock()
			r.backs[from] = back
			r.mu.Unlock()
			outs[from] = r.sending(func(b []byte) { back.WriteToUDPAddrPort(b, r.to) })
			r.wg.Add(1)
			go r.back(back, from)
		}
		r.put(outs[from], chance, b[:n])
	}
}

// back takes the answers to the client.
func (r *relaying) back(conn *net.UDPConn, client netip.AddrPort) {
	defer r.wg.Done()
	defer conn.Close()
	out := r.sending(func(b []byte) { r.front.WriteToUDPAddrPort(b, client) })
	defer close(out)
	chance := rand.New(rand.NewPCG(r.seed, 1))
	b := make([]byte, 64<<10)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		r.put(out, chance, b[:n])
	}
}

type delayed struct {
	at time.Time
	b  []byte
}

func (r *relaying) put(out chan<- delayed, chance *rand.Rand, b []byte) {
	if len(b) <= r.mtu && chance.Float64() >= r.loss {
		out <- delayed{time.Now().Add(r.delay), append([]byte(nil), b...)}
	}
}

// sending sends what is put into its channel when its time has come.
func (r *relaying) sending(send func([]byte)) chan<- delayed {
	c := make(chan delayed, 1<<14)
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		for d := range c {
			time.Sleep(time.Until(d.at))
			send(d.b)
		}
	}()
	return c
}
