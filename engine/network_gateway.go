package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"bipfs/engine/discovery"

	"golang.org/x/sys/unix"
)

// The router that our packets to the world go through is spoken to by these
// methods alone, which reach nobody else.

// Reasons why no router is spoken to.
var (
	errNoRouter = errors.New("there is no route to the world through a router")
	errNoNAT    = errors.New("this machine has an address of the world: no router translates it")
)

// maxRoutes bounds how much of the kernel's table of routes is read, in bytes.
const maxRoutes = 1 << 20

// Gateway is the router of the default route, of IPv4, and our address on its
// link. Behind a proxy there is none, and none is spoken to by who has an
// address of the world.
func (n *Network) Gateway() (discovery.Gateway, error) {
	if n.proxy != nil {
		return discovery.Gateway{}, fmt.Errorf("asking the router: %w", ErrProxied)
	}
	f, err := os.Open("/proc/thread-self/net/route")
	if err != nil {
		return discovery.Gateway{}, err
	}
	defer f.Close()
	bound := ""
	if n.bound != nil {
		bound = n.bound.device
	}
	router, name := defaultRoute(io.LimitReader(f, maxRoutes), bound)
	if !router.IsValid() {
		return discovery.Gateway{}, errNoRouter
	}
	all, err := n.devices()
	if err != nil {
		return discovery.Gateway{}, err
	}
	for _, d := range all {
		for _, p := range d.on {
			ours := p.Addr()
			if d.Name != name || !p.Contains(router) || n.bound != nil && n.bound.addr.IsValid() && n.bound.addr != ours {
				continue
			}
			if !n.local(ours) {
				return discovery.Gateway{}, errNoNAT
			}
			return discovery.Gateway{Router: router, Local: ours}, nil
		}
	}
	return discovery.Gateway{}, errNoRouter
}

// defaultRoute is the router of the default route of least metric in the
// kernel's table (proc(5), /proc/net/route), and the device that it is behind;
// it has to be the one that we are bound to, if any.
func defaultRoute(table io.Reader, bound string) (router netip.Addr, device string) {
	const gateway = unix.RTF_UP | unix.RTF_GATEWAY
	least := uint64(1 << 32)
	for lines := bufio.NewScanner(table); lines.Scan(); {
		f := strings.Fields(lines.Text()) // Iface Destination Gateway Flags RefCnt Use Metric Mask …
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || bound != "" && f[0] != bound {
			continue
		}
		via, err := strconv.ParseUint(f[2], 16, 32)
		flags, err2 := strconv.ParseUint(f[3], 16, 32)
		metric, err3 := strconv.ParseUint(f[6], 10, 32)
		if err != nil || err2 != nil || err3 != nil || flags&gateway != gateway || via == 0 || metric >= least {
			continue
		}
		var ip [4]byte
		binary.NativeEndian.PutUint32(ip[:], uint32(via)) // as it lies in the kernel's memory
		router, device, least = netip.AddrFrom4(ip), f[0], metric
	}
	return router, device
}

// DialGateway is a UDP socket to a port of the router; it hears only that.
func (n *Network) DialGateway(ctx context.Context, g discovery.Gateway, port uint16) (net.Conn, error) {
	if n.proxy != nil {
		return nil, fmt.Errorf("asking the router: %w", ErrProxied)
	}
	d := net.Dialer{Control: n.bound.control, LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(g.Local, 0))}
	return d.DialContext(ctx, "udp4", netip.AddrPortFrom(g.Router, port).String())
}

// SearchGateway is a UDP socket for questions by multicast on the router's
// link, which they do not leave.
func (n *Network) SearchGateway(ctx context.Context, g discovery.Gateway) (net.PacketConn, error) {
	if n.proxy != nil {
		return nil, fmt.Errorf("asking the router: %w", ErrProxied)
	}
	c := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		if err := n.bound.control(network, address, c); err != nil {
			return err
		}
		var set error
		err := c.Control(func(fd uintptr) {
			set = errors.Join(
				unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Address: g.Local.As4()}),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1),
			)
		})
		return errors.Join(err, set)
	}}
	return c.ListenPacket(ctx, "udp4", netip.AddrPortFrom(g.Local, 0).String())
}

// GatewayClient is an HTTP client that connects to the router and to nobody
// else, whatever a URL says; it follows no redirect, keeps nothing, and an
// answer of more than discovery.MaxDescription bytes is ErrTooLong.
func (n *Network) GatewayClient(g discovery.Gateway) *http.Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return n.dialRouter(ctx, g, address)
		},
		MaxResponseHeaderBytes: MaxHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
	return &http.Client{
		Transport:     bounded{t, n.agent},
		CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirect },
	}
}

func (n *Network) dialRouter(ctx context.Context, g discovery.Gateway, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	switch {
	case n.proxy != nil:
		return nil, fmt.Errorf("asking the router: %w", ErrProxied)
	case err != nil || to.Addr().Unmap() != g.Router || !n.local(to.Addr()):
		return nil, fmt.Errorf("%w: %s is not the router", ErrLocalAddress, address)
	}
	d := net.Dialer{Timeout: ConnectTime, KeepAlive: -1, Control: n.bound.control,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.Local, 0))}
	return d.DialContext(ctx, "tcp4", to.String())
}

// bounded is a RoundTripper whose answers are no longer than they may be.
type bounded struct {
	transport *http.Transport
	agent     string
}

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("User-Agent", b.agent)
	res, err := b.transport.RoundTrip(req)
	if err == nil {
		res.Body = &boundedBody{res.Body, discovery.MaxDescription}
	}
	return res, err
}

type boundedBody struct {
	io.ReadCloser
	left int // bytes
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left+1)])
	if b.left -= n; b.left < 0 {
		return 0, ErrTooLong
	}
	return n, err
}
