package engine

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// ErrProxied is that something is not done because it could not go through the
// proxy: what is not TCP, listening, and looking names up here.
var ErrProxied = errors.New("not done behind a proxy")

// ParseProxy reads the URL of a proxy: socks5://, socks5h:// (the same: names
// are always looked up by the proxy) or http:// (CONNECT), with HOST:PORT and
// perhaps USER:PASSWORD@. "" is none.
func ParseProxy(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("not the URL of a proxy: socks5://HOST:PORT or http://HOST:PORT")
	}
	switch u.Scheme {
	case "socks5", "socks5h", "http":
	default:
		return nil, fmt.Errorf("a proxy of the scheme %q is not spoken to: socks5://HOST:PORT or http://HOST:PORT", u.Scheme)
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 || u.Hostname() == "" {
		return nil, errors.New("the URL of a proxy needs HOST:PORT")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the URL of a proxy ends with its port")
	}
	return u, nil
}

// Proxied reports whether everything goes through a proxy.
func (n *Network) Proxied() bool { return n.proxy != nil }

// dialProxy connects to address, "HOST:PORT", through the proxy, which looks
// the name up. The connection is the socket to the proxy itself.
func (n *Network) dialProxy(ctx context.Context, address string) (net.Conn, error) {
	ip, _ := netip.ParseAddr(n.proxy.Hostname())
	d, err := n.dialer(ip)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, ConnectTime)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", n.proxy.Host)
	if err != nil {
		return nil, fmt.Errorf("the proxy is not reached: %w", err)
	}
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if n.proxy.Scheme == "http" {
		err = connect(c, n.proxy.User, address)
	} else {
		err = socks(ctx, c, n.proxy, address)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err == nil {
		err = ctx.Err() // its deadline may have been set after ours was taken back
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("through the proxy: %w", err)
	}
	return c, nil
}

// proxied is a connection that says whom it leads to, and not that it is the proxy's.
type proxied struct {
	net.Conn
	to string // "ADDRESS:PORT"; "": the proxy alone knows
}

func (c proxied) RemoteAddr() net.Addr { return there(c.to) }

// there is the other end of a proxied connection.
type there string

func (there) Network() string  { return "tcp" }
func (t there) String() string { return string(t) }

// socks asks a SOCKS5 proxy (RFC 1928, 1929) for a connection.
func socks(ctx context.Context, c net.Conn, u *url.URL, address string) error {
	var auth *proxy.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		auth = &proxy.Auth{User: u.User.Username(), Password: password}
	}
	d, err := proxy.SOCKS5("tcp", u.Host, auth, proxy.Direct)
	if err != nil {
		return err
	}
	_, err = d.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	}).DialWithConn(ctx, c, "tcp", address)
	return err
}

// connect asks an HTTP proxy for a connection (RFC 9110, CONNECT).
func connect(c net.Conn, user *url.Userinfo, address string) error {
	head := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if user != nil {
		password, _ := user.Password()
		head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, head+"\r\n"); err != nil {
		return err
	}
	// Byte by byte: what follows the answer is the peer's, and stays in the socket.
	answer := bufio.NewReaderSize(&single{r: c, left: MaxHeader}, 16)
	res, err := http.ReadResponse(answer, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return fmt.Errorf("its answer is not HTTP: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", strings.ToValidUTF8(res.Status, "?"))
	}
	return nil
}

// single reads one byte at a time, and no more than left.
type single struct {
	r    io.Reader
	left int
}

func (s *single) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, ErrTooLong
	}
	s.left--
	return s.r.Read(b[:1])
}
