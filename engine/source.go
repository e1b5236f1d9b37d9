package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bipfs/engine/discovery"
	"bipfs/engine/metainfo"
)

// Source is what a person names a torrent by. Exactly one of the first three fields is
// set.
type Source struct {
	Torrent *metainfo.Torrent // a .torrent, read and checked
	Magnet  *metainfo.Magnet  // a magnet link or an infohash
	URL     string            // where a .torrent is to be fetched

	// Folder is the directory of the mount that the torrent is to stand in, as ParseFolder
	// reads it. One that is there already stays where it is.
	Folder string
}

// errLayers is the error for a torrent that cannot be verified.
var errLayers = errors.New("the torrent is private and v2 only, and its piece layers are missing")

// isBare reports whether a torrent is v2 only and cannot be verified before its
// piece layers are here.
func isBare(info *metainfo.Info) bool { return !info.HasV1() && len(info.Missing()) > 0 }

// check refuses what the engine cannot fetch: without its layers a torrent is
// looked for like a magnet link, and a private one must not be.
func (s Source) check() error {
	if s.Torrent != nil && s.Torrent.Info.Private && isBare(s.Torrent.Info) {
		return errLayers
	}
	return nil
}

// link is the magnet link of a bare torrent.
func (s Source) link() *metainfo.Magnet {
	info := s.Torrent.Info
	return &metainfo.Magnet{
		Hash: info.Hash, V2: info.V2, Name: info.Name,
		Trackers: slices.Concat(s.Torrent.Trackers...), WebSeeds: s.webSeeds(),
	}
}

// ParseLink reads a SOURCE that is no file: a magnet link, an http(s) URL of a
// .torrent, or an infohash. A URL is not fetched.
func ParseLink(s string) (Source, error) {
	if l, ok, err := parseLink(s); ok {
		return l, err
	}
	if id, ok := idOf(s); ok {
		return Source{Magnet: &metainfo.Magnet{Hash: id.Hash, V2: id.V2}}, nil
	}
	return Source{}, fmt.Errorf("%s: neither a magnet link, an http(s) URL nor an infohash", ShownSource(s))
}

// parseLink reads what begins as a link does.
func parseLink(s string) (l Source, ok bool, err error) {
	switch scheme, _, _ := strings.Cut(strings.ToLower(s), ":"); scheme {
	case "magnet":
		m, err := metainfo.ParseMagnet(s)
		if err != nil {
			return Source{}, true, fmt.Errorf("%s: %w", ShownSource(s), err)
		}
		return Source{Magnet: m}, true, nil
	case "http", "https":
		u, err := url.Parse(s)
		if err != nil || u.Host == "" {
			return Source{}, true, errors.New("not a URL of a .torrent: there is no host")
		}
		return Source{URL: s}, true, nil
	}
	return Source{}, false, nil
}

// ParseSource reads one SOURCE of the command line: the path of a .torrent
// file, a magnet link, an http(s) URL of a .torrent, or an infohash (40 hex or
// 32 base32 digits, or 64 hex of v2). A file is read and checked here; a URL is not fetched.
func ParseSource(s string) (Source, error) {
	if l, ok, err := parseLink(s); ok {
		return l, err
	}
	if id, ok := idOf(s); ok {
		if _, err := os.Lstat(s); err != nil {
			return Source{Magnet: &metainfo.Magnet{Hash: id.Hash, V2: id.V2}}, nil
		}
	}
	t, err := readTorrent(s)
	if err != nil {
		return Source{}, err
	}
	return Source{Torrent: t}, nil
}

// readTorrent reads and checks a .torrent file.
func readTorrent(path string) (*metainfo.Torrent, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file, and neither a magnet link, an http(s) URL nor an infohash", ShownSource(path))
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, metainfo.MaxFile+1))
	if err != nil {
		return nil, err
	}
	t, err := metainfo.Parse(b)
	if err == nil {
		err = Source{Torrent: t}.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// fetchTimeout is how long the fetch of one .torrent may take in all.
const fetchTimeout = 60 * time.Second

// FetchSource gets and checks the .torrent at the URL of a source. A source
// without a URL is returned as it is.
func (c *Client) FetchSource(ctx context.Context, s Source) (Source, error) {
	if s.URL == "" {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	t, err := c.fetchTorrent(ctx, s.URL)
	if err != nil {
		return Source{}, fmt.Errorf("%s/…: %w", discovery.Shown(s.URL), discovery.ShownError(err, s.URL))
	}
	return Source{Torrent: t, Folder: s.Folder}, nil
}

func (c *Client) fetchTorrent(ctx context.Context, source string) (*metainfo.Torrent, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.net.HTTPClient(ForTorrent).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	b, err := ReadBounded(resp.Body, metainfo.MaxFile)
	if err != nil {
		return nil, err
	}
	return metainfo.Parse(b)
}

// ShownSource is a SOURCE as it is shown and logged: what may hold a passkey is left
// out, the path and query of a URL, and the trackers of a link.
func ShownSource(s string) string {
	if m, err := metainfo.ParseMagnet(s); err == nil {
		return "magnet:" + m.ID().String()
	}
	if link, ok := cutMagnet(s); ok { // a broken one: what it says of the torrent itself
		var kept []string
		for part := range strings.SplitSeq(link, "&") {
			if key := strings.ToLower(part); strings.HasPrefix(key, "xt") || strings.HasPrefix(key, "dn") {
				kept = append(kept, part)
			}
		}
		return shorten("magnet:?" + strings.Join(kept, "&"))
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok && rest != "" {
		if shown := discovery.Shown(s); !strings.HasPrefix(shown, "(") {
			return shown + "/…"
		}
		return shorten(scheme) + "://…"
	}
	return shorten(s)
}

// cutMagnet is the parameters of a magnet link.
func cutMagnet(s string) (parameters string, ok bool) {
	scheme, rest, ok := strings.Cut(s, ":")
	return strings.TrimPrefix(rest, "?"), ok && strings.EqualFold(scheme, "magnet")
}

// shorten is s as an error shows it: links are long.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// CheckListen says what is wrong with an address to listen at: [HOST]:PORT,
// where port 0 is any that is free.
func CheckListen(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("not [HOST]:PORT")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("not [HOST]:PORT with a port up to 65535")
	}
	return nil
}

// CheckHostPort says what is wrong with a HOST:PORT. Nothing is looked up.
func CheckHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("not HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return errors.New("not HOST:PORT with a port from 1 to 65535")
	}
	return nil
}
