package engine

import (
	"net/netip"
	"slices"
	"strconv"

	"bipfs/engine/metainfo"
	"bipfs/wire/webseed"
)

// The URLs of a torrent's web seeds: where they come from, and what they mean.

// webSeeds are those that a source names.
func (s Source) webSeeds() []string {
	if s.Torrent != nil {
		return s.Torrent.WebSeeds
	}
	return s.Magnet.WebSeeds
}

// newWebSeeds takes over the web seeds that t does not know. To a private
// torrent only a .torrent may add some: a link may be anybody's (BEP 27). The
// lock is held.
func (t *Torrent) newWebSeeds(s Source) (fresh int) {
	if info := t.Info(); info != nil && info.Private && s.Torrent == nil {
		return 0
	}
	for _, u := range s.webSeeds() {
		if !slices.Contains(t.webSeeds, u) && len(t.webSeeds) < metainfo.MaxWebSeeds {
			t.webSeeds = append(slices.Clip(t.webSeeds), u)
			fresh++
		}
	}
	return fresh
}

// settleWebSeeds forgets the web seeds of the magnet link, if the metadata says
// that the torrent is private.
func (t *Torrent) settleWebSeeds(info *metainfo.Info) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if info.Private && t.magnet != nil {
		t.webSeeds = slices.DeleteFunc(slices.Clone(t.webSeeds), func(u string) bool {
			return slices.Contains(t.magnet.WebSeeds, u)
		})
	}
}

// webURLs are the web seeds that t knows. Once there is metadata they keep their
// places: new ones come behind them.
func (t *Torrent) webURLs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.webSeeds
}

// webSeedID is what the machine takes for the address of a torrent's web seed i:
// one that no socket has.
func webSeedID(i int) netip.Addr {
	return netip.IPv6Unspecified().WithZone("webseed-" + strconv.Itoa(i))
}

// bar keeps a web seed that sent bad data from being asked again.
func (t *Torrent) bar(u string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.liars == nil {
		t.liars = map[string]bool{}
	}
	t.liars[u] = true
}

// barred reports whether it is.
func (t *Torrent) barred(u string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.liars[u]
}

// contentOf is where the files of a torrent are at a web seed.
func contentOf(info *metainfo.Info) *webseed.Content {
	c := &webseed.Content{
		Geometry: info.Geometry, Single: info.Single,
		Files: make([]webseed.File, len(info.Files)), Path: info.SpelledPaths(),
	}
	for i, f := range info.Files {
		c.Files[i] = webseed.File{Offset: f.Offset, Length: f.Length, Pad: f.Pad}
	}
	return c
}
