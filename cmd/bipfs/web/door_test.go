package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nobody is a client without the token.
func nobody(r *http.Request) { r.Header.Del("Authorization") }

// TestDoor: who is let in, to what, and who is not.
func TestDoor(t *testing.T) {
	s := serve(t, newFake())
	_, port, _ := net.SplitHostPort(s.at)
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	cookie := func(value string) func(*http.Request) {
		return func(r *http.Request) {
			nobody(r)
			r.AddCookie(&http.Cookie{Name: "bipfs-" + port, Value: value})
		}
	}
	basic := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}
	file := "/f/" + someHash + "/notes.txt"
	key := fileKey(someToken, someHash, "notes.txt")
	for _, c := range []struct {
		name, method, path string
		change             func(*http.Request)
		code               int
	}{
		{"token", "GET", "/", nil, 200},
		{"head", "HEAD", "/", nil, 200},
		{"post", "POST", "/", nil, 405},
		{"put a file", "PUT", "/dav/x", nil, 405},
		{"a body", "GET", "/", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("body")), 4 }, 413},
		{"a body of any length", "GET", "/", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("body")), -1 }, 413},
		{"lock", "LOCK", "/dav/x", nil, 405},
		{"propfind elsewhere", "PROPFIND", "/", nil, 405},
		{"options elsewhere", "OPTIONS", "/", nil, 405},

		{"localhost", "GET", "/", host("localhost:9"), 200},
		{"another port", "GET", "/", host("127.0.0.1:1"), 200},
		{"IPv6", "GET", "/", host("[::1]:8080"), 200},
		{"a name that is ours", "GET", "/", host("NAS.example"), 200},
		{"rebound name", "GET", "/", host("evil.example:" + port), 421},
		{"rebound name, of an address", "GET", "/", host("127.0.0.1.evil.example"), 421},
		{"below a name that is ours", "GET", "/", host("evil.nas.example"), 421},
		{"another's address", "GET", "/", host("192.0.2.1"), 421},
		{"rebound name, metrics", "GET", "/metrics", host("evil.example"), 421},

		{"typed", "GET", "/", header("Sec-Fetch-Site", "none"), 200},
		{"of the page", "GET", "/live", header("Sec-Fetch-Site", "same-origin"), 200},
		{"cross-site", "GET", "/live", header("Sec-Fetch-Site", "cross-site"), 403},
		{"another port's page", "GET", file, header("Sec-Fetch-Site", "same-site"), 403},
		{"origin", "GET", "/live", header("Origin", "http://"+s.at), 200},
		{"another's origin", "GET", "/live", header("Origin", "http://evil.example"), 403},
		{"no origin at all", "GET", "/live", header("Origin", "null"), 403},

		{"nobody", "GET", "/", nobody, 401},
		{"nobody, file", "GET", file, nobody, 401},
		{"nobody, asset", "GET", "/assets/page.js", nobody, 401},
		{"nobody, metrics", "GET", "/metrics", nobody, 401},
		{"nobody, dav", "PROPFIND", "/dav/", nobody, 401},
		{"nobody, nothing", "GET", "/no/such/thing", nobody, 401},
		{"wrong token", "GET", "/", header("Authorization", "Bearer x"), 401},
		{"cookie", "GET", "/", cookie(cookieValue(someToken)), 200},
		{"the token as a cookie", "GET", "/", cookie(someToken), 401},
		{"empty cookie", "GET", "/", cookie(""), 401},
		{"password", "GET", "/live", basic(someToken), 200},
		{"wrong password", "GET", "/live", basic("secret"), 401},
		{"parameter of a page", "GET", "/?token=" + someToken, nobody, 303},
		{"parameter of a player", "GET", file + "?token=" + someToken, nobody, 200},
		{"wrong parameter", "GET", "/?token=x", nobody, 401},
		{"empty parameter", "GET", "/?token=", nobody, 401},
		{"key", "GET", file + "?key=" + key, nobody, 200},
		{"key of another file", "GET", "/f/" + someHash + "/film.mp4?key=" + key, nobody, 401},
		{"key of a file for a page", "GET", "/?key=" + key, nobody, 401},
		{"key, another way to the file", "GET", "/f/" + someHash + "//notes.txt?key=" + key, nobody, 401},
		{"no key", "GET", file + "?key=", nobody, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, body := s.ask(t, c.method, c.path, c.change)
			if answer.StatusCode != c.code {
				t.Errorf("%d, not %d: %.100s", answer.StatusCode, c.code, body)
			}
			if c.code >= 400 && (len(body) > 200 || strings.Contains(body, "film")) {
				t.Errorf("a refusal tells %.200s", body)
			}
			if dav := strings.HasPrefix(c.path, "/dav"); c.code == 401 && (answer.Header.Get("WWW-Authenticate") != "") != dav {
				t.Errorf("WWW-Authenticate: %s", answer.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// TestEnter: the printed address becomes a cookie that scripts and other sites do
// not get, and the token leaves the address.
func TestEnter(t *testing.T) {
	s := serve(t, newFake())
	answer, _ := s.ask(t, "GET", "/t/"+someHash+"/?play=film.mp4&token="+someToken, nobody)
	if to := answer.Header.Get("Location"); answer.StatusCode != 303 || to != "/t/"+someHash+"/?play=film.mp4" {
		t.Errorf("%d, to %s", answer.StatusCode, to)
	}
	got := answer.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="} {
		if !strings.Contains(got, want) {
			t.Errorf("the cookie has no %s: %s", want, got)
		}
	}
	if strings.Contains(got, someToken) {
		t.Error("the cookie tells the token")
	}
}

// TestToken: it is made once, for its owner alone.
func TestToken(t *testing.T) {
	dir := t.TempDir()
	first, err := Token(dir)
	if err != nil || len(first) != 43 {
		t.Fatalf("%q, %v", first, err)
	}
	path := filepath.Join(dir, tokenFile)
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if again, err := Token(dir); err != nil || again != first {
		t.Errorf("another one: %v", err)
	}
	if other, err := Token(t.TempDir()); err != nil || other == first {
		t.Errorf("the same: %v", err)
	}
	for name, spoil := range map[string]func() error{
		"open to others": func() error { return os.Chmod(path, 0o640) },
		"short":          func() error { return os.WriteFile(path, []byte("secret\n"), 0o600) },
		"empty":          func() error { return os.WriteFile(path, nil, 0o600) },
		"long":           func() error { return os.WriteFile(path, make([]byte, 1<<20), 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if token, err := Token(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %q, %v", name, token, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Token(dir); err != nil {
			t.Errorf("%s, removed: %v", name, err)
		}
	}
}

// TestCrowd: no more than so many connections are served, and those that go make
// room; heads are bounded.
func TestCrowd(t *testing.T) {
	s := serve(t, newFake())
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	request := fmt.Sprintf("GET /assets/icon.svg HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", someToken)
	answered := func() bool {
		c, err := net.Dial("tcp", s.at)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, request)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && answer.StatusCode == 200
	}
	for range mostConnections {
		if !answered() {
			t.Fatalf("connection %d is not served", len(all))
		}
	}
	if answered() {
		t.Error("one more is served")
	}
	for _, c := range all[:mostConnections/2] {
		c.Close()
	}
	eventually(t, "there is no room for another", answered)

	eventually(t, "a long head is not refused", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.at+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Long", strings.Repeat("x", 2*longestHeader))
		answer, err := s.client.Do(r)
		if err != nil {
			return false // cut before the answer was read, or there was no slot
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusRequestHeaderFieldsTooLarge
	})
}
