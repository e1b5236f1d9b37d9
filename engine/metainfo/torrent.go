package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"bipfs/wire/bencode"
)

const (
	// MaxTrackers, MaxTiers and MaxWebSeeds bound what one torrent or magnet
	// link brings; what is over it is left out.
	MaxTrackers = 200
	MaxTiers    = 50
	MaxWebSeeds = 100

	maxURL     = 2048         // longest URL, bytes
	maxRead    = 2000         // URLs that are looked at to find usable ones
	maxComment = 4096         // longest comment, bytes
	maxCreated = 253402300799 // 9999-12-31, the last day that time.Time prints as RFC 3339
)

// Torrent is what a .torrent file says.
type Torrent struct {
	Info     *Info
	Trackers [][]string // tiers of announce URLs: http, https and udp (BEP 12, 15)
	WebSeeds []string   // http and https (BEP 19)
	Created  time.Time  // as the file says it; zero if it says nothing usable
	Comment  string     // safe to show on one line
}

// Parse reads a .torrent file. Bytes after its dictionary are ignored. The
// Torrent does not go on using b.
func Parse(b []byte) (*Torrent, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("not a torrent: longer than %d MiB", MaxFile>>20)
	}
	if !bencode.IsDictionary(b) {
		return nil, fmt.Errorf("not a torrent: %s", describe(b))
	}
	n, err := validate(b, true)
	if err != nil {
		return nil, broken(err)
	}
	var t Torrent
	var info, announce, tiers, layers bencode.Raw
	for key, v := range bencode.Dictionary(b[:n]) {
		switch string(key) {
		case "info":
			info = v
		case "piece layers":
			layers = v
		case "announce":
			announce = v
		case "announce-list":
			tiers = v
		case "url-list":
			t.WebSeeds = urlsOf(v).take(MaxWebSeeds, webSeedSchemes...)
		case "creation date":
			if s, ok := bencode.Integer(v); ok && s > 0 && s <= maxCreated {
				t.Created = time.Unix(s, 0).UTC()
			}
		case "comment":
			s, _ := bencode.String(v)
			t.Comment = oneLine(s[:min(len(s), maxComment)])
		}
	}
	if info == nil {
		return nil, errors.New("not a torrent: it has no `info`")
	}
	if t.Info, err = parseInfo(bytes.Clone(info)); err != nil {
		return nil, err
	}
	if err := t.Info.readLayers(layers); err != nil {
		return nil, err
	}
	if t.Trackers = readTiers(tiers); t.Trackers == nil {
		if one := urlsOf(announce).take(1, trackerSchemes...); one != nil {
			t.Trackers = [][]string{one}
		}
	}
	return &t, nil
}

// oneLine is s without what does not show.
func oneLine(s []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == '/' || shows(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(s), "")))
}

// describe says what b is instead of a torrent.
func describe(b []byte) string {
	head := bytes.ToLower(bytes.TrimSpace(bytes.TrimPrefix(b[:min(len(b), 1024)], []byte("\xEF\xBB\xBF"))))
	starts := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case len(b) == 0:
		return "the file is empty"
	case starts("<") && bytes.Contains(head, []byte("html")):
		return "an HTML page"
	case starts("<"):
		return "an XML or HTML document"
	case starts("magnet:"):
		return "a text with a magnet link; give the link itself"
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return "it is gzip-compressed; unpack it first"
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return "it is a zip archive; unpack it first"
	}
	return "it does not begin with a bencoded dictionary"
}

var (
	trackerSchemes = []string{"http", "https", "udp"}
	webSeedSchemes = []string{"http", "https"}
)

// readTiers reads an `announce-list`: tiers of URLs, or in some files a flat
// list of them, each a tier then.
func readTiers(v bencode.Raw) (tiers [][]string) {
	u := urls{seen: make(map[string]bool)}
	left := MaxTrackers
	for v := range bencode.List(v) {
		u.in = v
		if tier := u.take(left, trackerSchemes...); tier != nil {
			tiers = append(tiers, tier)
			left -= len(tier)
		}
		if len(tiers) == MaxTiers || left == 0 || u.read >= maxRead {
			break
		}
	}
	return tiers
}

// urls finds the usable URLs in a list of strings, or in one string.
type urls struct {
	in   bencode.Raw
	read int // how many were looked at
	seen map[string]bool
}

func urlsOf(v bencode.Raw) *urls { return &urls{in: v, seen: make(map[string]bool)} }

// take is up to most usable URLs of the schemes, none that was taken before.
func (u *urls) take(most int, schemes ...string) (taken []string) {
	try := func(v bencode.Raw) {
		s, ok := bencode.String(v)
		u.read++
		if !ok || len(s) > maxURL {
			return
		}
		if s := strings.TrimSpace(string(s)); !u.seen[s] && usable(s, schemes) {
			u.seen[s] = true
			taken = append(taken, s)
		}
	}
	if !bencode.IsList(u.in) {
		try(u.in)
		return taken
	}
	for v := range bencode.List(u.in) {
		if len(taken) == most || u.read >= maxRead {
			break
		}
		try(v)
	}
	return taken
}

// usable reports whether s is a URL with a host, of one of the schemes. Who
// may be spoken to is not decided here but where it is dialled.
func usable(s string, schemes []string) bool {
	if len(s) > maxURL || strings.ContainsAny(s, " \t") {
		return false
	}
	u, err := url.Parse(s) // refuses control characters
	if err != nil || u.Hostname() == "" {
		return false
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme {
			return true
		}
	}
	return false
}

// Encode is a .torrent file of t, around the info dictionary as it came, with
// the piece layers that are here.
func (t *Torrent) Encode() []byte {
	file := struct {
		Announce string      `bencode:"announce,omitempty"`
		Tiers    [][]string  `bencode:"announce-list,omitempty"`
		Comment  string      `bencode:"comment,omitempty"`
		Created  int64       `bencode:"creation date,omitempty"`
		Info     bencode.Raw `bencode:"info"`
		Layers   bencode.Raw `bencode:"piece layers,omitempty"`
		WebSeeds []string    `bencode:"url-list,omitempty"`
	}{Comment: t.Comment, Info: t.Info.Raw, Layers: t.Info.encodeLayers(), WebSeeds: t.WebSeeds}
	if len(t.Trackers) > 0 {
		file.Announce = t.Trackers[0][0]
		if len(t.Trackers) > 1 || len(t.Trackers[0]) > 1 {
			file.Tiers = t.Trackers
		}
	}
	if !t.Created.IsZero() {
		file.Created = t.Created.Unix()
	}
	b, err := bencode.Encode(file)
	if err != nil {
		panic(err) // Raw is a value that Validate accepted, the rest is our own
	}
	return b
}
