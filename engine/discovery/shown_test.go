package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	for raw, want := range map[string]string{
		"https://t.example:8443/0123456789abcdef/announce?passkey=secretsecret": "https://t.example:8443",
		"udp://user:password@t.example:1/secretsecret":                          "udp://t.example:1",
		"http://t.ex\u202eample/x":                                              "http://t.example",
		"secretsecret":                                                          "(not a URL)",
		"http://%zz/secretsecret":                                               "(not a URL)",
		"":                                                                      "(not a URL)",
	} {
		if got := Shown(raw); got != want {
			t.Errorf("%s is shown as %s, not %s", raw, got, want)
		}
	}
}

// TestShownError: what a server repeats of a URL is not shown, and errors of ours
// stay themselves.
func TestShownError(t *testing.T) {
	const raw = "https://me:passpass@t.example/0123456789abcdef/a%20long%20part/announce.php?passkey=secret%2Fsecret&x=1"
	for text, want := range map[string]string{
		"unknown passkey secret/secret":                   "unknown passkey …",
		"unknown passkey secret%2Fsecret":                 "unknown passkey …",
		"no torrent for 0123456789abcdef, x=1":            "no torrent for …, x=1",
		"failed to parse Location header \"" + raw + "\"": "failed to parse Location header \"https://me:…@t.example/…/…/announce.php?…\"",
		"there is no a long part here":                    "there is no … here",
		"announce.php is down":                            "announce.php is down",
	} {
		if got := ShownError(errors.New(text), raw).Error(); got != want {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	wrapped := &url.Error{Op: "Get", URL: raw, Err: fmt.Errorf("dial: %w", context.DeadlineExceeded)}
	if got := ShownError(wrapped, raw); !errors.Is(got, context.DeadlineExceeded) || got.Error() != "dial: context deadline exceeded" {
		t.Errorf("%v", got)
	}
	if ShownError(nil, raw) != nil {
		t.Error("no error is one")
	}
}

func FuzzShownError(f *testing.F) {
	f.Add("http://t.example/0123456789?key=abcdefghi", "no 0123456789 here")
	f.Add("::", "::")
	f.Fuzz(func(t *testing.T, raw, text string) {
		Shown(raw)
		got := ShownError(errors.New(text), raw).Error()
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		for part := range strings.SplitSeq(u.Path, "/") {
			// What stands for a part may make another one with what is beside it.
			plain := strings.IndexFunc(part, func(r rune) bool { return r >= 0x80 }) < 0
			if plain && len(part) >= leastSecret && !strings.HasPrefix(part, "announce") && strings.Contains(got, part) {
				t.Errorf("%q shows %q", got, part)
			}
		}
	})
}
