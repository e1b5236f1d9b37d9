package discovery

// A router that translates addresses lets nobody in whom it was not told of.
// PortMap tells it, in the first protocol of three that it speaks:
//
//	who is the router? ──> PCP ──no──> NAT-PMP ──no──> UPnP ──no──> back-off
//	   ^      ^                │ yes      │ yes          │ yes         │
//	   │      │                └──────────┴──────┬───────┘             │
//	   │      └──────────────────────────────────│─────────────────────┘
//	   └───refused─── renew <──half of the lease─┘
//
//	end ──> taken back, as far as the time of Stop allows
//
// Whoever answers is on our own network, and may be anybody: each answer is
// bounded in bytes and time, no number in it is used unclamped, and no URL in
// it leads anywhere but to the router itself.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of port mapping.
const (
	// LeaseTime is how long a router is asked to keep a port open; a lease that
	// it grants is taken as between LeastLease and LongestLease.
	LeaseTime    = time.Hour
	LeastLease   = 2 * time.Minute
	LongestLease = 24 * time.Hour
	// MapTime bounds one round of all protocols.
	MapTime = 30 * time.Second
	// MinMapRetry is the pause after the first round that failed; it doubles
	// with each, up to MaxMapRetry.
	MinMapRetry = time.Minute
	MaxMapRetry = 2 * time.Hour
)

// Transport is what a port is of.
type Transport uint8

// The transports, with their numbers in PCP (those of IP).
const (
	MapTCP Transport = 6
	MapUDP Transport = 17
)

func (t Transport) String() string {
	if t == MapUDP {
		return "UDP"
	}
	return "TCP"
}

// MappedPort is a port of ours that is to be reached from outside.
type MappedPort struct {
	Transport Transport
	Port      uint16
}

// Gateway is the router that packets to the world go through, and our address
// as it sees us. Both are IPv4.
type Gateway struct{ Router, Local netip.Addr }

// Routers is the door to the router.
type Routers interface {
	// Gateway is who it is now. Without a router that translates addresses it
	// is an error.
	Gateway() (Gateway, error)
	// DialGateway is a UDP socket that speaks to a port of the router, and
	// hears nobody else.
	DialGateway(ctx context.Context, g Gateway, port uint16) (net.Conn, error)
	// SearchGateway is a UDP socket on the router's link, for multicast to it.
	SearchGateway(ctx context.Context, g Gateway) (net.PacketConn, error)
	// GatewayClient reaches the router and nobody else, follows no redirect,
	// and fails answers of more than MaxDescription bytes.
	GatewayClient(g Gateway) *http.Client
}

// PortMapConfig is what a PortMap is made of.
type PortMapConfig struct {
	Routers Routers
	// Ports are those to be mapped, if ours is the address that the router
	// knows us by.
	Ports func(ours netip.Addr) []MappedPort
	Log   *slog.Logger
}

// lease is a port that a router lets through.
type lease struct {
	MappedPort
	external netip.AddrPort // what the router says; the address may be invalid
	life     time.Duration  // of the mapping
}

// opener is a protocol that opens ports of a router. At the end several
// goroutines shut at a time; else one uses it.
type opener interface {
	// open maps a port, or maps it again; external is the port to ask for.
	open(ctx context.Context, g Gateway, p MappedPort, external uint16) (lease, error)
	// shut takes that back.
	shut(ctx context.Context, g Gateway, l lease) error
	String() string
}

// errNoPorts is that nothing listens where the router could lead.
var errNoPorts = errors.New("no port is listened at that a router could lead to")

// PortMap has ports of ours mapped. Run does it, then Stop takes it back; Wake
// and External may be called from any goroutine.
type PortMap struct {
	c       PortMapConfig
	openers []opener
	wake    chan struct{} // holds one ring

	// Of the goroutine that runs:
	speaks  opener  // the protocol that the router speaks; nil: not known
	gateway Gateway // that it was spoken with
	leases  []lease
	said    string // the last failure that was logged

	external atomic.Pointer[[]lease]
}

// NewPortMap is a PortMap that has done nothing yet.
func NewPortMap(c PortMapConfig) *PortMap {
	return &PortMap{c: c, wake: make(chan struct{}, 1), openers: []opener{
		newPCP(c.Routers), natPMP{c.Routers}, &upnp{routers: c.Routers},
	}}
}

// External is where a port of ours is reached from outside, as the router says:
// it may lie, and another router may stand behind it. The address is invalid if
// it did not say, the port is 0 if the port is not mapped.
func (m *PortMap) External(p MappedPort) netip.AddrPort {
	if leases := m.external.Load(); leases != nil {
		for _, l := range *leases {
			if l.MappedPort == p {
				return l.external
			}
		}
	}
	return netip.AddrPort{}
}

// Wake has the ports mapped anew, now: the network may be another.
func (m *PortMap) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run maps the ports, and renews them at half their life, until ctx ends.
func (m *PortMap) Run(ctx context.Context) {
	retry := MinMapRetry
	for ctx.Err() == nil {
		err := m.round(ctx)
		wait := retry
		if err == nil {
			retry, wait = MinMapRetry, m.renewal()
		} else {
			retry = min(2*retry, MaxMapRetry)
		}
		m.publish(err)
		select {
		case <-time.After(wait):
		case <-m.wake:
			retry = MinMapRetry
		case <-ctx.Done():
		}
	}
}

// renewal is when the first lease has lived half of its life.
func (m *PortMap) renewal() time.Duration {
	life := LongestLease
	for _, l := range m.leases {
		life = min(life, l.life)
	}
	return max(life, LeastLease) / 2
}

// round maps every port once: in the protocol of the round before, if there is
// one, else in each of them until one is spoken.
func (m *PortMap) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, MapTime)
	defer cancel()
	g, err := m.c.Routers.Gateway()
	if err != nil {
		m.speaks, m.leases = nil, nil
		return err
	}
	if g != m.gateway { // leases of another router run out there
		m.gateway, m.speaks, m.leases = g, nil, nil
	}
	ports := m.c.Ports(g.Local)
	if len(ports) == 0 {
		return errNoPorts
	}
	if m.speaks != nil {
		if m.openAll(ctx, m.speaks, ports) == nil {
			return nil
		}
		m.speaks, m.leases = nil, nil
	}
	var failed []error
	for _, o := range m.openers {
		if err := m.openAll(ctx, o, ports); err != nil {
			failed = append(failed, fmt.Errorf("%v: %w", o, err))
			continue
		}
		m.speaks = o
		return nil
	}
	return errors.Join(failed...)
}

// openAll maps every port in one protocol; it fails if none is mapped.
func (m *PortMap) openAll(ctx context.Context, o opener, ports []MappedPort) error {
	var leases []lease
	var failed error
	for _, p := range ports {
		external := p.Port
		if at := slices.IndexFunc(m.leases, func(l lease) bool { return l.MappedPort == p }); at >= 0 {
			external = m.leases[at].external.Port()
		}
		l, err := o.open(ctx, m.gateway, p, external)
		if err != nil {
			failed = err
			if len(leases) == 0 {
				break // it would fail for each
			}
			continue
		}
		l.life = min(max(l.life, LeastLease), LongestLease)
		leases = append(leases, l)
	}
	if len(leases) == 0 {
		return failed
	}
	m.leases = leases
	return nil
}

// publish says what has changed, once.
func (m *PortMap) publish(err error) {
	now := slices.Clone(m.leases)
	before := m.external.Swap(&now)
	if err != nil {
		if text := forPeople(err.Error()); text != m.said {
			m.said = text
			m.c.Log.Info("no router lets peers in", "why", text)
		}
		return
	}
	m.said = ""
	same := func(a, b lease) bool { return a.MappedPort == b.MappedPort && a.external == b.external }
	if before != nil && slices.EqualFunc(*before, now, same) {
		return
	}
	for _, l := range now {
		m.c.Log.Info("the router lets peers in", "protocol", m.speaks.String(), "port", l.Port, "transport", l.Transport,
			"outside", l.external)
	}
}

// Stop takes back what is mapped, all at once, and waits for that or for ctx.
// Run must have returned.
func (m *PortMap) Stop(ctx context.Context) {
	var shutting sync.WaitGroup
	for _, l := range m.leases {
		shutting.Go(func() {
			if err := m.speaks.shut(ctx, m.gateway, l); err != nil {
				m.c.Log.Debug("the router is not told that a port is closed", "port", l.Port, "err", forPeople(err.Error()))
			}
		})
	}
	shutting.Wait()
	m.leases = nil
	m.external.Store(nil)
}
