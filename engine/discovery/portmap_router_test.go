package discovery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	atHome  = Gateway{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.7")}
	ourPort = MappedPort{MapTCP, 6881}
)

var began time.Time // of the false time of a test

// router is a fake of one, and of the door to it. A nil function is silence.
type router struct {
	mu      sync.Mutex
	gateway Gateway
	absent  error
	control func(question []byte) (answers [][]byte) // at port 5351
	ssdp    func(question string) (answers []from)
	http    func(req *http.Request, body string) (status int, answer string)
	asked   []string // "when: protocol"
	open    int      // sockets
}

type from struct {
	addr string
	text string
}

func (r *router) Gateway() (Gateway, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateway, r.absent
}

func (r *router) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, time.Since(began).String()+": "+what)
}

// notes are what was asked since the last call.
func (r *router) notes() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.asked = nil }()
	return strings.Join(r.asked, ", ")
}

// socket is one end of a pipe, counted; who closes it ends the other end.
func (r *router) socket(serve func(c net.Conn)) net.Conn {
	ours, theirs := net.Pipe()
	r.mu.Lock()
	r.open++
	r.mu.Unlock()
	go func() {
		serve(theirs)
		io.Copy(io.Discard, theirs)
		r.mu.Lock()
		r.open--
		r.mu.Unlock()
	}()
	return ours
}

func (r *router) DialGateway(_ context.Context, g Gateway, port uint16) (net.Conn, error) {
	if port != controlPort || g != r.gateway {
		panic("another port, or another router")
	}
	return r.socket(func(c net.Conn) {
		for b := make([]byte, 2000); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			r.note([]string{0: "NAT-PMP", 2: "PCP"}[b[0]])
			if r.control == nil {
				continue
			}
			question := bytes.Clone(b[:n])
			go func() { // while it is asked again
				for _, answer := range r.control(question) {
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}), nil
}

func (r *router) SearchGateway(context.Context, Gateway) (net.PacketConn, error) {
	p := &packets{}
	p.Conn = r.socket(func(c net.Conn) {
		for b := make([]byte, 2000); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			if strings.Contains(string(b[:n]), "InternetGatewayDevice:2") || r.ssdp == nil {
				continue
			}
			r.note("UPnP")
			answers := r.ssdp(string(b[:n]))
			go func() { // while it is asked a second time
				for _, a := range answers {
					p.mu.Lock()
					p.from = a.addr
					p.mu.Unlock()
					if _, err := c.Write([]byte(a.text)); err != nil {
						return
					}
				}
			}()
		}
	})
	return p, nil
}

// packets is a pipe that says where the packet came from.
type packets struct {
	net.Conn
	mu   sync.Mutex
	from string
}

func (p *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	if to.String() != searchGroup.String() {
		panic(to)
	}
	return p.Write(b)
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	return n, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(cmp.Or(p.from, "0.0.0.0")), 1900)), err
}

func (r *router) GatewayClient(Gateway) *http.Client { return &http.Client{Transport: tripper{r}} }

type tripper struct{ *router }

func (t tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	what := req.URL.String()
	for key, action := range req.Header {
		if strings.EqualFold(key, "SOAPAction") {
			_, what, _ = strings.Cut(strings.Trim(action[0], `"`), "#")
		}
	}
	t.note(what)
	if t.http == nil {
		return nil, errors.New("refused")
	}
	status, answer := t.http(req, string(body))
	if status == 0 { // it keeps silent
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(answer)),
		ContentLength: int64(len(answer)), Header: http.Header{}, Request: req}, nil
}

// portMap runs a PortMap with a fake router, in false time, from setup on.
func portMap(t *testing.T, r *router, f func(m *PortMap)) {
	synctest.Test(t, func(t *testing.T) {
		began, r.gateway = time.Now(), atHome
		m := NewPortMap(PortMapConfig{Routers: r, Log: slog.New(slog.DiscardHandler), Ports: func(ours netip.Addr) []MappedPort {
			if ours != r.gateway.Local {
				panic(ours)
			}
			return []MappedPort{ourPort}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { m.Run(ctx) })
		f(m)
		cancel()
		running.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		m.Stop(ctx)
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("Stop took %v", took)
		}
		if m.External(ourPort).IsValid() || m.External(ourPort).Port() != 0 {
			t.Error("a port is mapped after the stop")
		}
		time.Sleep(time.Second) // what the router answers late
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.open != 0 {
			t.Errorf("%d sockets are left", r.open)
		}
	})
}
