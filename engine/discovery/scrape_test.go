package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var (
	hashA = [20]byte([]byte("aaaaaaaaaaaaaaaaaaaa"))
	hashB = [20]byte([]byte("b b&bbbbbbbbbbbbbbbb"))
)

func TestScrapeURL(t *testing.T) {
	const query = "info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=b%20b%26bbbbbbbbbbbbbbbb"
	for tracker, want := range map[string]string{
		"http://t.example/announce":                "http://t.example/scrape?" + query,
		"http://t.example/x%2Fy/announce.php?k=1#": "http://t.example/x%2Fy/scrape.php?k=1&" + query,
		"https://u:p@t.example:8/a/announce":       "https://u:p@t.example:8/a/scrape?" + query,
	} {
		if got, err := scrapeURL(tracker, [][20]byte{hashA, hashB}); got != want || err != nil {
			t.Errorf("%s: %s, %v", tracker, got, err)
		}
	}
	for tracker, want := range map[string]error{
		"http://t.example/a": ErrNoScrape, "http://t.example/announce/": ErrNoScrape, "http://t.example": ErrNoScrape,
		"http://t.example/xannounce": ErrNoScrape, "udp://t.example:1/announce": ErrScheme, "http://t.example:0/announce": ErrURL,
	} {
		if got, err := scrapeURL(tracker, nil); !errors.Is(err, want) {
			t.Errorf("%s: %s, %v", tracker, got, err)
		}
	}
}

func TestScrape(t *testing.T) {
	for body, want := range map[string]string{
		"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei5e10:downloadedi50e10:incompletei-1eeee":       "[{5 50 0} {0 0 0}] <nil>",
		"d5:filesd20:b b&bbbbbbbbbbbbbbbbd8:completei99999999999e10:incomplete1:x3:z:zi1eee2:zzlee": "[{0 0 0} {1000000000 0 0}] <nil>",
		"d5:filesle e":               "[] the answer is not a tracker's",
		"d5:filesdee":                "[{0 0 0} {0 0 0}] <nil>",
		"de":                         "[] the answer is not a tracker's: it has no files",
		"d14:failure reason4:no\n!e": "[] the tracker says: no !",
		"<html>":                     "[] the answer is not a tracker's: it is not a bencoded dictionary",
		strings.Repeat("l", 100_000): "[] the answer is not a tracker's",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
		all, err := HTTP{s.Client()}.Scrape(t.Context(), s.URL+"/announce", [][20]byte{hashA, hashB})
		s.Close()
		if got := fmt.Sprint(all, " ", err); !strings.HasPrefix(strings.ReplaceAll(got, "  ", " "), want) {
			t.Errorf("%.60q: %s, want %s", body, got, want)
		}
	}
	if _, err := (HTTP{}).Scrape(t.Context(), "http://t/announce", make([][20]byte, MaxScrape+1)); err == nil {
		t.Error("too many at once")
	}
}

func TestUDPScrape(t *testing.T) {
	says := func(n int, packet []byte) [][]byte {
		if binary.BigEndian.Uint32(packet[8:]) == actionConnect {
			return good(n, packet)
		}
		if string(packet[16:]) != string(hashA[:])+string(hashB[:]) {
			t.Errorf("asked %q", packet)
		}
		return [][]byte{append(head(actionScrape, packet), 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 6, 7)}
	}
	talking(t, says, func(t *testing.T, u *UDP, tr *udpTracker) {
		all, err := u.Scrape(t.Context(), udpURL, [][20]byte{hashA, hashB})
		if fmt.Sprint(all, err) != "[{1 2 3} {0 5 6}] <nil>" {
			t.Errorf("%v, %v", all, err)
		}
	})
	talking(t, good, func(t *testing.T, u *UDP, tr *udpTracker) {
		tr.wg.Wait()
		tr.says = func(n int, packet []byte) [][]byte {
			if binary.BigEndian.Uint32(packet[8:]) == actionConnect {
				return good(n, packet)
			}
			return [][]byte{append(head(actionScrape, packet), 0)}
		}
		if all, err := u.Scrape(t.Context(), udpURL, [][20]byte{hashA}); !errors.Is(err, ErrNotTracker) {
			t.Errorf("%v, %v", all, err)
		}
		if _, err := u.Scrape(t.Context(), udpURL, make([][20]byte, MaxScrape+1)); err == nil {
			t.Error("too many at once")
		}
	})
}

func FuzzScrape(f *testing.F) {
	f.Add([]byte("d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei5eeee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, err := parseScrape(b, [][20]byte{hashA}); err == nil && len(all) != 1 {
			t.Errorf("%v", all)
		}
	})
}
