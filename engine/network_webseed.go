package engine

// A web seed is asked for part after part of its files, so its client keeps the
// connections, and the rule on local addresses cannot be a matter of the hop
// that dials: a kept connection serves later hops, and one that is dialled for
// a hop may come to serve another. So there are two pools, and it is the pool
// that a connection is judged for:
//
//	hop ──┬─ a server in the world sent us here ──────────▶ worldly: connects to
//	      ├─ the URL has a query ─▶ (is it local? then ─┐)   no local address
//	      │                                  without it │
//	      └─ else ──────────────────────────────────────┴─▶ any: connects to both
//
// Whatever connection of its pool a hop gets, it might have dialled it itself.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// keptFor is how long a connection to a web seed is kept without a request.
const keptFor = 60 * time.Second

// keptDoor is the RoundTripper of one web seed.
type keptDoor struct {
	network      *Network
	any, worldly *http.Transport
}

func (n *Network) newWebSeedClient() *http.Client {
	d := &keptDoor{n, n.pool(false), n.pool(true)}
	return &http.Client{Transport: d, CheckRedirect: countRedirects}
}

// pool is a transport that keeps connections.
func (n *Network) pool(worldly bool) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.dialJudged(ctx, network, address, func(_ context.Context, _, to string, _ syscall.RawConn) error {
				if !worldly {
					return nil
				}
				return n.allow(&hop{purpose: ForWebSeed, fromWorld: true}, to)
			})
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    ConnectTime,
		MaxResponseHeaderBytes: MaxHeader,
		DisableCompression:     true,
		IdleConnTimeout:        keptFor,
		MaxIdleConnsPerHost:    1, // of one connection, which asks for one part at a time
		MaxIdleConns:           MaxRedirects + 1,
	}
}

// RoundTrip sends one hop.
func (d *keptDoor) RoundTrip(req *http.Request) (*http.Response, error) {
	req, h, err := d.network.hop(req, ForWebSeed)
	if err != nil {
		return nil, err
	}
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			to, err := netip.ParseAddrPort(c.Conn.RemoteAddr().String())
			h.world.Store(err != nil || !d.network.local(to.Addr()))
		},
	})
	req = req.WithContext(ctx)
	if !h.fromWorld && req.URL.RawQuery == "" && !req.URL.ForceQuery {
		return d.any.RoundTrip(req)
	}
	r, err := d.worldly.RoundTrip(req)
	if h.fromWorld || !errors.Is(err, ErrLocalAddress) {
		return r, err
	}
	// The press of a button is mostly in a query.
	bare := req.Clone(ctx)
	bare.URL = withoutQuery(req.URL)
	return d.any.RoundTrip(bare)
}

func withoutQuery(u *url.URL) *url.URL {
	bare := *u
	bare.RawQuery, bare.ForceQuery = "", false
	return &bare
}

// CloseIdleConnections closes what is kept; http.Client calls it.
func (d *keptDoor) CloseIdleConnections() {
	d.any.CloseIdleConnections()
	d.worldly.CloseIdleConnections()
}
