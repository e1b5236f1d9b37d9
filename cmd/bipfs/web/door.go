package web

import (
	"crypto/hmac"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The door lets a request in that passes all of these:
//
//	method, no body ─▶ Host ─▶ Sec-Fetch-Site, Origin ─▶ secret ─▶ served
//	   405, 413         421             403               401
//
// A page of somebody else in the user's browser can make it send requests here,
// and, with a name that it points at 127.0.0.1, read the answers. Such a request
// has that name as its Host. The token is asked besides: not every program of
// this machine is the user's.

const (
	cookieName = "bipfs"
	// cookieAge is how long a browser stays let in, seconds.
	cookieAge = 30 * 24 * 3600
	// tokenParam is the parameter of the printed URL, keyParam that of one in a
	// playlist.
	tokenParam = "token"
	keyParam   = "key"
)

// door is who is let in.
type door struct {
	token, cookie string
	name          string // of the cookie: those of all ports of a host are sent to each
	hosts         []string
	remote        bool // by any address, as it may have any
}

func newDoor(c Config, at net.Addr) *door {
	d := &door{token: c.Token, cookie: cookieValue(c.Token), name: cookieName}
	for _, h := range c.Hosts {
		d.hosts = append(d.hosts, strings.ToLower(h))
	}
	if a, ok := at.(*net.TCPAddr); ok {
		d.name += "-" + strconv.Itoa(a.Port)
		d.remote = !a.IP.IsLoopback()
	}
	return d
}

// guard serves what the door lets in, and counts.
func (d *door) guard(s *server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
		counted := &counting{ResponseWriter: w, of: &s.served}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'")
		code, why := d.judge(r)
		switch {
		case code == http.StatusUnauthorized && inDAV(r):
			h.Set("WWW-Authenticate", `Basic realm="bipfs: any user, the token is the password", charset="UTF-8"`)
			fallthrough
		case code != 0:
			// Whoever is not let in keeps no connection: there are so many.
			h.Set("Connection", "close")
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // nor is a body of his awaited
			refuse(counted, code, why)
		case isPage(r) && r.URL.Query().Has(tokenParam):
			d.enter(counted, r)
		default:
			next.ServeHTTP(counted, r)
		}
		s.served.request(counted.code)
	})
}

// judge is why a request is refused; 0: it is not.
func (d *door) judge(r *http.Request) (code int, why string) {
	switch {
	case !methodOf(r):
		return http.StatusMethodNotAllowed, "nothing can be changed here: GET and HEAD"
	case r.ContentLength != 0 && r.Method != "PROPFIND":
		return http.StatusRequestEntityTooLarge, "nothing is taken here"
	case !d.isHost(r.Host):
		return http.StatusMisdirectedRequest, "bipfs is not called so: ask for its address, or start it with --http-host NAME"
	case !sameSite(r):
		return http.StatusForbidden, "the request is another site's: type the address yourself"
	case !d.knows(r):
		return http.StatusUnauthorized, "the token is missing: open the address that bipfs printed"
	}
	return 0, ""
}

// methodOf reports whether the request only reads.
func methodOf(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions, "PROPFIND":
		return inDAV(r)
	}
	return false
}

func inDAV(r *http.Request) bool {
	return r.URL.Path == "/dav" || strings.HasPrefix(r.URL.Path, "/dav/")
}

// isPage reports whether the request is for something that people look at.
func isPage(r *http.Request) bool {
	return r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/t/")
}

// isHost reports whether host is one of our names. The port is not looked at: it
// may have been forwarded, and whoever attacks cannot choose the name by it.
func (d *door) isHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		return ip.Unmap().IsLoopback() || d.remote
	}
	return name == "localhost" || name != "" && slices.Contains(d.hosts, name)
}

// sameSite reports whether a request comes from a page of ours, or from no page: a
// typed address, or a program.
func sameSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// knows reports whether a request has a secret that opens what it asks for.
func (d *door) knows(r *http.Request) bool {
	if c, err := r.Cookie(d.name); err == nil && equal(c.Value, d.cookie) {
		return true
	}
	if _, password, ok := r.BasicAuth(); ok {
		return equal(password, d.token)
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return equal(bearer, d.token)
	}
	q := r.URL.Query()
	if q.Has(tokenParam) {
		return equal(q.Get(tokenParam), d.token)
	}
	rest, isFile := strings.CutPrefix(r.URL.Path, "/f/")
	infohash, path, _ := strings.Cut(rest, "/")
	return isFile && equal(q.Get(keyParam), fileKey(d.token, infohash, path))
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// enter gives a browser the cookie, and has it forget the token: in an address it
// is in the history, and on the screen.
func (d *door) enter(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: d.name, Value: d.cookie, Path: "/", MaxAge: cookieAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	q := r.URL.Query()
	q.Del(tokenParam)
	to := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}
