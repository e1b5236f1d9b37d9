package engine

import (
	"strings"
	"testing"
)

// TestShownSource: nobody learns a passkey from how a source is shown.
func TestShownSource(t *testing.T) {
	hash := strings.Repeat("0a", 20)
	for source, want := range map[string]string{
		"film.torrent":   "film.torrent",
		"/srv/a&b=c?d=e": "/srv/a&b=c?d=e",
		hash:             hash,
		"magnet:?xt=urn:btih:" + hash + "&tr=http%3A%2F%2Ft.example%2Fsecret": "magnet:" + hash,
		"MAGNET:?xt=urn:btih:zz&tr=http://t.example/secret&dn=x&ws=secret":    "magnet:?xt=urn:btih:zz&dn=x",
		"magnet:?dn=x":                              "magnet:?dn=x",
		"magnet:secret":                             "magnet:?",
		"https://me:secret@t.example:8/secret?a":    "https://t.example:8/…",
		"udp://t.example/secret":                    "udp://t.example/…",
		"http://%zz/secret":                         "http://…",
		"http://secret\x01":                         "http://…",
		strings.Repeat("long", 30) + ".torrent":     strings.Repeat("long", 20) + "…",
		"magnet:?dn=" + strings.Repeat("long", 100): "magnet:?dn=" + strings.Repeat("long", 17) + "l…",
	} {
		if got := ShownSource(source); got != want {
			t.Errorf("%s is shown as %s, not %s", source, got, want)
		}
	}
}
