package discovery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnnounceURL(t *testing.T) {
	a := Announce{Port: 6881, Uploaded: 1, Downloaded: 2, Left: 3, NumWant: 50, Key: 0xAB}
	for i := range a.Infohash {
		a.Infohash[i], a.PeerID[i] = byte(i*13), "-bi0100-0123456789ab"[i]
	}
	const hash = "%00%0D%1A%274AN%5Bhu%82%8F%9C%A9%B6%C3%D0%DD%EA%F7"
	const rest = "&peer_id=-bi0100-0123456789ab&port=6881&uploaded=1&downloaded=2&left=3&compact=1&no_peer_id=1&numwant=50"
	for tracker, want := range map[string]string{
		"http://t.example/announce":              "http://t.example/announce?info_hash=" + hash + rest + "&key=000000AB",
		"http://t.example:80/k%2Fy/announce#x":   "http://t.example:80/k%2Fy/announce?info_hash=" + hash + rest + "&key=000000AB",
		"https://t.example/announce.php?pass=1":  "https://t.example/announce.php?pass=1&info_hash=" + hash + rest + "&key=000000AB",
		"https://t.example/announce?key=secret":  "https://t.example/announce?key=secret&info_hash=" + hash + rest,
		"http://[2001:db8::1]:6969/announce?a=b": "http://[2001:db8::1]:6969/announce?a=b&info_hash=" + hash + rest + "&key=000000AB",
	} {
		if got, err := announceURL(tracker, a); got != want || err != nil {
			t.Errorf("%s:\n got %s, %v\nwant %s", tracker, got, err, want)
		}
	}
	a.Event, a.TrackerID = Started, "a b&c"
	got, err := announceURL("http://t.example/announce", a)
	if err != nil || !strings.HasSuffix(got, "&event=started&trackerid=a%20b%26c") {
		t.Errorf("event and id: %s, %v", got, err)
	}
	u, _ := url.Parse(got)
	if q := u.Query(); q.Get("info_hash") != string(a.Infohash[:]) || q.Get("peer_id") != string(a.PeerID[:]) {
		t.Errorf("what we wrote is read as %q", q)
	}
}

func TestAnnounceURLRefused(t *testing.T) {
	for tracker, want := range map[string]error{
		"udp://t.example:80/announce":           ErrScheme,
		"wss://t.example/":                      ErrScheme,
		"file:///etc/passwd":                    ErrScheme,
		"gopher://127.0.0.1/":                   ErrScheme,
		"t.example/announce":                    ErrScheme,
		"":                                      ErrScheme,
		"http:///announce":                      ErrURL,
		"http://t.example/a\r\nX: y":            ErrURL,
		"http://t.example:0/announce":           ErrURL,
		"http://t.example:65536/announce":       ErrURL,
		"http://t.example/?info_hash=x":         ErrURL,
		"http://t.example/?a=1&%70ort=25":       ErrURL,
		"http://t.example/?%zz":                 ErrURL,
		"http://" + strings.Repeat("a", MaxURL): ErrURL,
	} {
		if _, err := announceURL(tracker, Announce{}); !errors.Is(err, want) {
			t.Errorf("%.80q: %v, want %v", tracker, err, want)
		}
	}
}

// serve runs h as a tracker on loopback and announces to it once.
func serve(t *testing.T, h http.HandlerFunc) (Answer, error) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	return HTTP{s.Client()}.Announce(t.Context(), s.URL+"/SECRET/announce", Announce{Port: 1})
}

func TestAnnounceHostile(t *testing.T) {
	packed := func(n int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(bytes.Repeat([]byte{0}, n))
		z.Close()
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"status": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502); io.WriteString(w, "<html>") }, "the tracker answers 502 Bad Gateway"},
		"status and failure": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, "d14:failure reason2:noe")
		}, "the tracker says: no"},
		"empty": {func(w http.ResponseWriter, r *http.Request) {}, "it is empty"},
		"gzip bomb": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(packed(10 << 20))
		}, "longer than 1048576 bytes"},
		"gzip garbage": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "not gzip at all")
		}, "broke off"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for page := make([]byte, 64<<10); r.Context().Err() == nil; {
				if _, err := w.Write(page); err != nil {
					return
				}
			}
		}, "longer than 1048576 bytes"},
		"endless headers": {func(w http.ResponseWriter, r *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for line := []byte("X: " + strings.Repeat("y", 60000) + "\r\n"); ; {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		}, "header"},
		"cut short": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "d8:interval")
		}, "broke off"},
		"redirect to itself": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }, "redirects"},
		"redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "unsupported protocol"},
		"closed": {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := serve(t, c.serve)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want %q", a, err, c.want)
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error tells the tracker's path: %v", err)
			}
		})
	}
}

func TestAnnouncePacked(t *testing.T) {
	a, err := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, "d8:intervali1800e5:peers6:\x7f\x00\x00\x01\x1a\xe1e")
		z.Close()
	})
	if err != nil || len(a.Peers) != 1 || a.Interval != 30*time.Minute {
		t.Errorf("a packed answer: %+v, %v", a, err)
	}
}

func TestAnnounceCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("asked") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	_, err := HTTP{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}.Announce(t.Context(), s.URL+"/announce", Announce{})
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) {
		t.Errorf("a self-signed certificate: %v", err)
	}
}

// TestAnnounceSlow: a tracker that sends a byte a second has AnnounceTime in
// all, whether it is slow in its header or in its body.
func TestAnnounceSlow(t *testing.T) {
	for name, at := range map[string]string{
		"silent": "", "header": "HTTP/1.1 200 OK\r\nX: ", "body": "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var server sync.WaitGroup
				defer server.Wait()
				dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					server.Go(func() {
						defer theirs.Close()
						http.ReadRequest(bufio.NewReader(theirs))
						io.WriteString(theirs, at)
						for err := error(nil); at != "" && err == nil; time.Sleep(time.Second) {
							_, err = theirs.Write([]byte("x"))
						}
						io.Copy(io.Discard, theirs) // until our side gives up
					})
					return ours, nil
				}
				client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
				begin := time.Now()
				_, err := HTTP{client}.Announce(t.Context(), "http://t.example/announce", Announce{})
				if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != AnnounceTime {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

func TestReachable(t *testing.T) {
	peers := "127.0.0.1:1 10.0.0.1:2 [::1]:3 [fe80::1]:4 169.254.1.1:5 8.8.8.8:6"
	for tracker, want := range map[string]string{
		"93.184.216.34": "10.0.0.1:2 8.8.8.8:6",
		"2001:db8::5":   "10.0.0.1:2 8.8.8.8:6",
		"":              "10.0.0.1:2 8.8.8.8:6",
		"127.0.0.1":     peers, "192.168.1.1": peers, "::1": peers, "fe80::2": peers,
	} {
		var ip netip.Addr
		if tracker != "" {
			ip = netip.MustParseAddr(tracker)
		}
		got := strings.Trim(fmt.Sprint(reachable(addrs(strings.Fields(peers)...), ip)), "[]")
		if want = strings.Trim(fmt.Sprint(addrs(strings.Fields(want)...)), "[]"); got != want {
			t.Errorf("told by %q: %s, want %s", tracker, got, want)
		}
	}
}
