package discovery

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/huin/goupnp/soap"
)

// UPnP's Internet Gateway Device, version 1, which later ones answer to:
//
//	M-SEARCH ──multicast──> router ──LOCATION──> GET its description
//	                                               │ control URL of a WAN service
//	                          AddPortMapping <─────┘ POST
//
// docs/adr/0011-port-mapping.md says which part of goupnp does what.

// Bounds of UPnP.
const (
	// MaxDescription bounds any answer of a router over HTTP, in bytes.
	MaxDescription = 128 << 10
	// searchTime is how long answers to a search are waited for, of which
	// searchAnswers are looked at, and searchPlaces of their URLs fetched.
	searchTime    = 2500 * time.Millisecond
	searchAnswers = 64
	searchPlaces  = 3
	searchLongest = 2048 // bytes of one
	// mostServices is how many services of a description are looked at.
	mostServices = 256
	// controlTime bounds one request to the router.
	controlTime = 5 * time.Second
	// otherPorts is how many outer ports are tried if the first is taken.
	otherPorts = 4
)

var searchGroup = netip.MustParseAddrPort("239.255.255.250:1900")

// searched are what the router is looked for as.
var searched = []string{"urn:schemas-upnp-org:device:InternetGatewayDevice:1", "urn:schemas-upnp-org:device:InternetGatewayDevice:2"}

// mapping are the services that map ports, the best first.
var mapping = []string{"urn:schemas-upnp-org:service:WANIPConnection:2", "urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1"}

// Codes of UPnP errors (UPnP-gw-WANIPConnection, 2.4.16).
const (
	portTaken     = 718
	permanentOnly = 725
)

var (
	errElsewhere = errors.New("the URL does not lead to the router itself")
	errNoService = errors.New("its description has no service that maps ports")
)

// upnp maps ports with UPnP.
type upnp struct {
	routers Routers
	mu      sync.Mutex
	service *service // found in an earlier round; nil: none
}

// service is what a router maps ports with.
type service struct {
	of      Gateway
	kind    string // its URN
	control url.URL
}

func (*upnp) String() string { return "UPnP" }

// find is the router's service, looked for if it is not known.
func (u *upnp) find(ctx context.Context, g Gateway) (*service, error) {
	u.mu.Lock()
	s := u.service
	u.mu.Unlock()
	if s != nil && s.of == g {
		return s, nil
	}
	s, err := u.search(ctx, g)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	u.service = s
	u.mu.Unlock()
	return s, nil
}

func (u *upnp) open(ctx context.Context, g Gateway, p MappedPort, external uint16) (lease, error) {
	s, err := u.find(ctx, g)
	if err != nil {
		return lease{}, err
	}
	l := lease{MappedPort: p, life: LeaseTime}
	seconds := strconv.Itoa(int(LeaseTime / time.Second))
	for range otherPorts {
		err = u.call(ctx, s, "AddPortMapping", &struct {
			NewRemoteHost, NewExternalPort, NewProtocol, NewInternalPort, NewInternalClient,
			NewEnabled, NewPortMappingDescription, NewLeaseDuration string
		}{"", strconv.Itoa(int(external)), p.Transport.String(), strconv.Itoa(int(p.Port)), g.Local.String(), "1", "bipfs", seconds}, nil)
		var fault *soap.SOAPFaultError
		switch {
		case !errors.As(err, &fault):
		case fault.Detail.UPnPError.Errorcode == permanentOnly && seconds != "0":
			seconds = "0" // taken back at the stop, or used again after a crash: our port stays the same
			continue
		case fault.Detail.UPnPError.Errorcode == portTaken && external < 65535:
			external++
			continue
		}
		break
	}
	if err != nil {
		u.mu.Lock()
		u.service = nil // it is looked for anew
		u.mu.Unlock()
		return lease{}, err
	}
	var answer struct{ NewExternalIPAddress string }
	var ip netip.Addr
	if u.call(ctx, s, "GetExternalIPAddress", nil, &answer) == nil {
		ip, _ = netip.ParseAddr(strings.TrimSpace(answer.NewExternalIPAddress))
	}
	l.external = netip.AddrPortFrom(outside(ip), external)
	return l, nil
}

func (u *upnp) shut(ctx context.Context, g Gateway, l lease) error {
	u.mu.Lock()
	s := u.service
	u.mu.Unlock()
	if s == nil || s.of != g {
		return errNoService
	}
	return u.call(ctx, s, "DeletePortMapping", &struct{ NewRemoteHost, NewExternalPort, NewProtocol string }{
		"", strconv.Itoa(int(l.external.Port())), l.Transport.String(),
	}, nil)
}

// call has the router do something.
func (u *upnp) call(ctx context.Context, s *service, action string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	c := soap.SOAPClient{EndpointURL: s.control, HTTPClient: *u.routers.GatewayClient(s.of)}
	return c.PerformActionCtx(ctx, s.kind, action, in, out)
}

// search looks for the router's service. Whoever else answers is not heard.
func (u *upnp) search(ctx context.Context, g Gateway) (*service, error) {
	conn, err := u.routers.SearchGateway(ctx, g)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	for range 2 { // one may be lost
		for _, as := range searched {
			question := fmt.Sprintf("M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: %s\r\n\r\n", searchGroup, as)
			if _, err := conn.WriteTo([]byte(question), net.UDPAddrFromAddrPort(searchGroup)); err != nil {
				return nil, err
			}
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(searchTime)); err != nil {
		return nil, err
	}
	failed := errSilent
	tried := map[string]bool{}
	answer := make([]byte, searchLongest)
	for range searchAnswers {
		n, from, err := conn.ReadFrom(answer)
		if err != nil {
			break
		}
		at, err := netip.ParseAddrPort(from.String())
		if err != nil || at.Addr().Unmap() != g.Router {
			continue
		}
		where, err := parseLocation(answer[:n], g)
		if err != nil {
			failed = err
			continue
		}
		if tried[where.String()] || len(tried) == searchPlaces {
			continue
		}
		tried[where.String()] = true
		s, err := u.describe(ctx, g, where)
		if err == nil {
			return s, nil
		}
		failed = err
	}
	return nil, failed
}

// parseLocation is where the sender of an answer to a search is described.
func parseLocation(b []byte, g Gateway) (*url.URL, error) {
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		return nil, errUnexpected
	}
	res.Body.Close()
	return ofRouter(&url.URL{}, res.Header.Get("Location"), g)
}

// ofRouter is a URL that the router gave, if it leads to the router itself: in
// plain HTTP, as all of them speak, by its address and not by a name.
func ofRouter(base *url.URL, ref string, g Gateway) (*url.URL, error) {
	if len(ref) > MaxURL {
		return nil, errElsewhere
	}
	u, err := base.Parse(strings.TrimSpace(ref))
	if err != nil || u.Scheme != "http" || u.User != nil || u.Opaque != "" {
		return nil, errElsewhere
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if ip, errIP := netip.ParseAddr(u.Hostname()); errIP != nil || ip.Unmap() != g.Router || u.Port() != "" && (err != nil || port == 0) {
		return nil, errElsewhere
	}
	return u, nil
}

// describe fetches a description and finds its service.
func (u *upnp) describe(ctx context.Context, g Gateway, where *url.URL) (*service, error) {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, errElsewhere
	}
	res, err := u.routers.GatewayClient(g).Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the router answers %s", forPeople(res.Status))
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return parseDescription(body, where, g)
}

// described is a device of a description. They stand inside each other; what
// encoding/xml decodes is bounded in depth.
type described struct {
	Services []struct {
		Kind    string `xml:"serviceType"`
		Control string `xml:"controlURL"`
	} `xml:"serviceList>service"`
	Devices []described `xml:"deviceList>device"`
}

// parseDescription finds the best service that maps ports, and whose control
// URL is the router's own.
func parseDescription(body []byte, where *url.URL, g Gateway) (*service, error) {
	var root struct {
		Base   string    `xml:"URLBase"`
		Device described `xml:"device"`
	}
	if err := xml.Unmarshal(body, &root); err != nil {
		return nil, fmt.Errorf("its description is not XML: %s", forPeople(err.Error()))
	}
	if strings.TrimSpace(root.Base) != "" {
		base, err := ofRouter(where, root.Base, g)
		if err != nil {
			return nil, err
		}
		where = base
	}
	var best *service
	rank, looked, failed := len(mapping), 0, errNoService
	for devices := []described{root.Device}; len(devices) > 0 && looked < mostServices; {
		d := devices[0]
		devices = append(devices[1:], d.Devices...)
		for _, s := range d.Services {
			if looked++; looked > mostServices {
				break
			}
			for i, kind := range mapping[:rank] {
				if strings.TrimSpace(s.Kind) != kind {
					continue
				}
				control, err := ofRouter(where, s.Control, g)
				if err != nil {
					failed = err
					continue
				}
				best, rank = &service{g, kind, *control}, i
				break
			}
		}
	}
	if best == nil {
		return nil, failed
	}
	return best, nil
}
