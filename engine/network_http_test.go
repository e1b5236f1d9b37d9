package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// serveAt serves h at a loopback address; its URL has that address as host.
func serveAt(t *testing.T, ip string, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Skipf("this machine has no address %s: %v", ip, err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return "http://" + l.Addr().String()
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// get fetches a URL and reads it to its end.
func get(n *Network, p Purpose, url string) (string, error) {
	res, err := n.HTTPClient(p).Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := ReadBounded(res.Body, 1000)
	return string(b), err
}

// TestLocalAddresses is the rule on local addresses, row by row: who asks, what
// for, and where redirects lead.
func TestLocalAddresses(t *testing.T) {
	local := serveAt(t, "127.0.0.1", hello)
	localPort := local[strings.LastIndex(local, ":"):]
	// to is a redirect: world/to?URL.
	redirect := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/to" {
			http.Redirect(w, r, r.URL.RawQuery, http.StatusFound)
			return
		}
		hello(w, r)
	}
	world := serveAt(t, "127.0.1.1", redirect)
	world2 := serveAt(t, "127.0.1.2", redirect)
	local2 := serveAt(t, "127.0.0.2", redirect)

	n := lab(map[string][]string{
		"inside.example": {"127.0.0.1"},
	})
	for name, c := range map[string]struct {
		purpose Purpose
		url     string
		want    error // nil: "hello"
	}{
		"a user's URL may be local":              {ForTorrent, local + "/x.torrent", nil},
		"and be a name":                          {ForTorrent, "http://inside.example" + localPort + "/x", nil},
		"a user's URL in the world":              {ForTorrent, world + "/x.torrent", nil},
		"world to world":                         {ForTorrent, world + "/to?" + world2 + "/x", nil},
		"world to local":                         {ForTorrent, world + "/to?" + local + "/x", ErrLocalAddress},
		"world to a local name":                  {ForTorrent, world + "/to?http://inside.example" + localPort + "/", ErrLocalAddress},
		"world to local, under an announce path": {ForTorrent, world + "/to?" + local + "/announce", ErrLocalAddress},
		"world to world to local":                {ForTorrent, world + "/to?" + world2 + "/to?" + local + "/x", ErrLocalAddress},
		"local to local":                         {ForTorrent, local2 + "/to?" + local + "/x", nil},
		"local to world":                         {ForTorrent, local2 + "/to?" + world + "/x", nil},
		"local to world to local":                {ForTorrent, local2 + "/to?" + world + "/to?" + local + "/x", ErrLocalAddress},
		"a tracker in the world":                 {ForTracker, world + "/x", nil},
		"a local tracker":                        {ForTracker, local + "/announce?info_hash=x", nil},
		"a local tracker with a key":             {ForTracker, local + "/key/announce.php", nil},
		"a local button":                         {ForTracker, local + "/reboot", ErrLocalAddress},
		"a local button by name":                 {ForTracker, "http://inside.example" + localPort + "/reboot", ErrLocalAddress},
		"a local button behind an announce path": {ForTracker, local + "/announce/../reboot", ErrLocalAddress},
		"a local button in a query":              {ForTracker, local + "/reboot?/announce", ErrLocalAddress},
		"a local button in an escape":            {ForTracker, local + "/reboot%2Fannounce", ErrLocalAddress},
		"a tracker in the world to a local one":  {ForTracker, world + "/to?" + local + "/announce", ErrLocalAddress},
		"a local tracker to a local tracker":     {ForTracker, local2 + "/to?" + local + "/announce", ErrLocalAddress}, // its own path is no tracker's
		"the addresses of the cloud":             {ForTracker, "http://169.254.169.254/latest/meta-data", ErrLocalAddress},
		"this machine, as 0.0.0.0":               {ForTracker, "http://0.0.0.0" + localPort + "/", ErrLocalAddress},
		"this machine, as IPv6":                  {ForTracker, "http://[::1]" + localPort + "/", ErrLocalAddress},
		"this machine, as IPv4 in IPv6":          {ForTracker, "http://[::ffff:127.0.0.1]" + localPort + "/", ErrLocalAddress},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := get(n, c.purpose, c.url)
			if c.want == nil && (err != nil || body != "hello") || !errors.Is(err, c.want) {
				t.Errorf("%q, %v; want %v", body, err, c.want)
			}
		})
	}
}

// outside serves h in the world, and at the same port of 127.0.0.1 a server
// that must not be reached.
func outside(t *testing.T, h http.HandlerFunc) (port string) {
	world := serveAt(t, "127.0.1.1", h)
	port = world[strings.LastIndex(world, ":"):]
	l, err := net.Listen("tcp", "127.0.0.1"+port)
	if err != nil {
		t.Skip(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the inside was reached") }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return port
}

// TestRebinding: a name that changes its address between two hops is judged at
// each connect.
func TestRebinding(t *testing.T) {
	port := outside(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	n := lab(map[string][]string{"moving.example": {"127.0.1.1", "127.0.0.1"}})
	if _, err := get(n, ForTorrent, "http://moving.example"+port+"/"); !errors.Is(err, ErrLocalAddress) {
		t.Errorf("the second hop: %v", err)
	}
}

// TestMixedAddresses: of a name with a local address and one in the world, only
// the second is used.
func TestMixedAddresses(t *testing.T) {
	port := outside(t, hello)
	n := lab(map[string][]string{"both.example": {"127.0.0.1 127.0.1.1"}})
	if body, err := get(n, ForTracker, "http://both.example"+port+"/x"); body != "hello" {
		t.Error(err)
	}
}

func TestRedirects(t *testing.T) {
	hops := 0
	self := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) {
		if hops++; r.URL.Path == "/loop" || r.URL.Path == "/"+strings.Repeat("x", hops) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return
		}
		hello(w, r)
	})
	n := lab(nil)
	if _, err := get(n, ForTorrent, self+"/loop"); !errors.Is(err, ErrRedirect) || hops != MaxRedirects+1 {
		t.Errorf("a loop: %v after %d requests", err, hops)
	}
	for name, to := range map[string]string{
		"file": "file:///etc/passwd", "gopher": "gopher://127.0.1.1/", "ftp": "ftp://127.0.1.1/",
	} {
		s := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		if _, err := get(n, ForTorrent, s); !errors.Is(err, ErrScheme) {
			t.Errorf("to %s: %v", name, err)
		}
	}
	s := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://user:secret@127.0.1.1/", http.StatusFound)
	})
	if _, err := get(n, ForTorrent, s); !errors.Is(err, ErrRedirect) || strings.Contains(err.Error(), "secret") {
		t.Errorf("to a URL with a password: %v", err)
	}
}

// TestRedirectsCounted: the fifth redirect is followed, the sixth is not.
func TestRedirectsCounted(t *testing.T) {
	s := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) {
		if left := len(r.URL.Path) - 1; left > 0 {
			http.Redirect(w, r, "/"+strings.Repeat("x", left-1), http.StatusFound)
			return
		}
		hello(w, r)
	})
	n := lab(nil)
	if body, err := get(n, ForTorrent, s+"/"+strings.Repeat("x", MaxRedirects)); body != "hello" {
		t.Errorf("%d redirects: %v", MaxRedirects, err)
	}
	if _, err := get(n, ForTorrent, s+"/"+strings.Repeat("x", MaxRedirects+1)); !errors.Is(err, ErrRedirect) {
		t.Errorf("%d redirects: %v", MaxRedirects+1, err)
	}
}

// TestSecretsStay: what the first host was told does not go to the next.
func TestSecretsStay(t *testing.T) {
	second := serveAt(t, "127.0.1.2", func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []string{"Authorization", "Referer", "Cookie"} {
			if v := r.Header.Get(h); v != "" {
				t.Errorf("the second host is told %s: %s", h, v)
			}
		}
		if ua := r.Header.Get("User-Agent"); ua != "bipfs/test" {
			t.Errorf("user agent %q", ua)
		}
		hello(w, r)
	})
	first := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "secret" {
			t.Errorf("the first host is told %q, %q", user, password)
		}
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "secret", Path: "/"})
		http.Redirect(w, r, second+"/", http.StatusFound)
	})
	body, err := get(lab(nil), ForTorrent, strings.Replace(first, "//", "//user:secret@", 1)+"/passkey")
	if body != "hello" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestURLs(t *testing.T) {
	n := lab(nil)
	for url, want := range map[string]error{
		"file:///etc/passwd":       ErrScheme,
		"gopher://127.0.1.1/":      ErrScheme,
		"http://bücher.example/":   ErrNotASCII,
		"http://gооgle.example/":   ErrNotASCII, // Cyrillic o
		"http://127。0。0。1/":        ErrNotASCII,
		"http://ex%C3%A4mple.org/": ErrNotASCII,
		"http://127.0.0.1/a b":     ErrLocalAddress,
	} {
		if _, err := get(n, ForTracker, url); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", url, err, want)
		}
	}
	for _, url := range []string{"http:///x", "http://a\r\nX: y/", "http://127.0.1.1/\r\nX: y", "", "x"} {
		if _, err := get(n, ForTracker, url); err == nil {
			t.Errorf("%q was fetched", url)
		}
	}
}

func TestEnvironmentProxy(t *testing.T) {
	proxy := serveAt(t, "127.0.1.9", func(w http.ResponseWriter, r *http.Request) { t.Error("the proxy was asked"); hello(w, r) })
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy)
	}
	if body, err := get(lab(nil), ForTorrent, serveAt(t, "127.0.1.1", hello)); body != "hello" {
		t.Error(err)
	}
}

func TestCertificates(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	n := lab(nil)
	_, err := get(n, ForTorrent, s.URL)
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) {
		t.Errorf("a self-signed certificate: %v", err)
	}
	// With the test's root it is good for 127.0.0.1, and plain http is no way back.
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	n.HTTPClient(ForTorrent).Transport.(*door).transport.TLSClientConfig.RootCAs = roots
	if body, err := get(n, ForTorrent, s.URL); body != "hello" {
		t.Error(err)
	}
	plain := serveAt(t, "127.0.0.1", hello)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain, http.StatusFound) })
	if _, err := get(n, ForTorrent, s.URL); !errors.Is(err, ErrRedirect) {
		t.Errorf("from https to http: %v", err)
	}
}

func TestHeaderIsBounded(t *testing.T) {
	s := serveAt(t, "127.0.1.1", func(w http.ResponseWriter, r *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for n := 0; n < 100<<20; n += 1004 {
			if _, err := io.WriteString(c, "X: "+strings.Repeat("y", 999)+"\r\n"); err != nil {
				return
			}
		}
		t.Error("100 MiB of header were read")
	})
	if _, err := get(lab(nil), ForTorrent, s); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("an endless header: %v", err)
	}
}

func TestReadBounded(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 9: true, 10: true, 11: false, 1000: false} {
		b, err := ReadBounded(strings.NewReader(strings.Repeat("x", n)), 10)
		if ok && (len(b) != n || err != nil) || !ok && !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: %d, %v", n, len(b), err)
		}
	}
	r, w := io.Pipe()
	w.CloseWithError(context.Canceled)
	if _, err := ReadBounded(r, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a stream that breaks: %v", err)
	}
}
