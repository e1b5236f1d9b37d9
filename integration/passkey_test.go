package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// passkey is what a private tracker knows a user by. It stands in the path and in the
// query of every URL here.
const passkey = "5ecret0passkey"

// TestPasskeys: whoever reads the log, or what commands print, learns no passkey: not
// of trackers that refuse and repeat it, are not there, or redirect to nowhere, not of
// web seeds, not of the places where torrents come from, and not of broken links.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	base := torrentOf(t, file(t, "passkey.bin", 3_000_000), 32<<10)
	served, err := os.ReadFile(base.file)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch part := strings.Split(r.URL.Path, "/")[1]; part {
		case "refuses":
			reason := "no user has " + r.URL.RawQuery[:len(passkey)+4] + " or " + r.URL.Path
			fmt.Fprintf(w, "d14:failure reason%d:%se", len(reason), reason)
		case "warns":
			warning := passkey + " is old"
			fmt.Fprintf(w, "d8:intervali1800e5:peers0:15:warning message%d:%se", len(warning), warning)
		case "redirects":
			w.Header().Set("Location", "http://%zz/"+passkey)
			w.WriteHeader(http.StatusFound)
		case "torrent":
			w.Write(served)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(web.Close)
	at := func(root, part string) string {
		return fmt.Sprintf("%s/%s/%s/announce?key=%s", root, part, passkey, passkey)
	}
	nobody := "http://127.0.0.1:" + freePort(t, "127.0.0.1")
	to := base.tracked(t, at(web.URL, "refuses"), at(web.URL, "warns"), at(web.URL, "redirects"), at(nobody, "x"),
		strings.Replace(at(nobody, "udp"), "http", "udp", 1)).
		onTheWeb(t, at(web.URL, "missing"), at(web.URL, "redirects"), at(nobody, "seed"))

	m, command := controlled(t, "--peer", engineSeeder(t, base), "--log-level", "debug")
	var all strings.Builder
	say := func(code int, args ...string) {
		t.Helper()
		r := command(args...)
		if r.code != code {
			t.Errorf("exit code %d is not %d: %v", r.code, code, r)
		}
		all.WriteString(r.out + r.err)
	}
	say(0, "add", to.file)
	same(t, to.shown(m), to.content)
	for _, text := range []string{"no user has …", "… is old", "Location", "connection refused", "a web seed"} {
		m.prints(text, longEnough)
	}
	say(0, "status", to.hash())
	say(0, "status", "--json", m.path(to.Info.Name))
	say(0, "peers", "--json", to.hash())
	say(0, "ls", "--json")
	say(0, "why", m.path(to.Info.Name))
	say(0, "why", "--json", m.path(to.Info.Name))
	say(0, "rm", "--delete-data", to.hash())
	say(1, "add", at(web.URL, "missing"), at(web.URL, "redirects"), at(nobody, "x"), "udp://127.0.0.1/"+passkey, "ftp:"+"//h/"+passkey,
		"magnet:?dn=x&tr="+at(web.URL, "refuses"), "magnet:?xt=urn:btih:zz&ws="+at(web.URL, "x")+"&dn=%zz")
	say(0, "add", at(web.URL, "torrent"))
	say(0, "add", "--json", base.linked(at(web.URL, "refuses")).file)
	say(0, "status", "--json")
	say(0, "events")
	say(0, "events", "--json")
	m.stop(5 * time.Second)
	again := mountBipfs(t, mounting{sources: []string{at(nobody, "x"), at(web.URL, "missing")}})
	again.prints("404", longEnough)
	again.prints("connection refused", longEnough)
	again.stop(5 * time.Second)
	for where, text := range map[string]string{"the log": m.printed() + again.printed(), "what commands print": all.String()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, passkey) {
				t.Errorf("%s has a passkey: %s", where, line)
			}
		}
	}
	for _, host := range []string{strings.TrimPrefix(web.URL, "http://"), strings.TrimPrefix(nobody, "http://")} {
		if !strings.Contains(all.String(), host) {
			t.Errorf("%s is not named at all:\n%s", host, all.String())
		}
	}
}
