package web

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// mostPlayed is how many files a playlist has, and mostFolders how many folders
// are looked into for them.
const (
	mostPlayed  = 2000
	mostFolders = 2000
)

// playlist is what can be played of a torrent, in the order of its folders. Each
// address has the key of its file, so that it is enough for a player, and no more.
func (s *server) playlist(w http.ResponseWriter, r *http.Request) {
	t, err := s.Torrent(strings.TrimSuffix(r.PathValue("infohash"), ".m3u8"))
	if err != nil {
		s.fail(w, err)
		return
	}
	var b strings.Builder
	b.WriteString("#EXTM3U\n")
	for _, e := range s.played(t.Infohash) {
		to := url.URL{Scheme: "http", Host: r.Host, Path: "/f/" + t.Infohash + "/" + e.Path}
		to.RawQuery = url.Values{keyParam: {fileKey(s.door.token, t.Infohash, e.Path)}}.Encode()
		b.WriteString("#EXTINF:-1," + oneLine(e.Path) + "\n" + to.String() + "\n")
	}
	h := w.Header()
	h.Set("Content-Type", "audio/x-mpegurl; charset=utf-8")
	h.Set("Content-Disposition", disposition("attachment", t.Name+".m3u8"))
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, b.String()) // who asked may have gone
}

// played are the files of a torrent that can be played.
func (s *server) played(infohash string) (files []Entry) {
	folders := []string{infohash}
	for n := 0; n < len(folders) && len(files) < mostPlayed; n++ {
		entries, _, err := s.List(folders[n], 0, mostPlayed)
		if err != nil {
			continue // the metadata is not here
		}
		for _, e := range entries {
			switch {
			case e.Dir && len(folders) < mostFolders:
				folders = append(folders, join(infohash, e.Path))
			case !e.Dir && !e.Link && kindOf(e.Name).playable() && len(files) < mostPlayed:
				files = append(files, e)
			}
		}
	}
	return files
}

// oneLine is a name without what would end its line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, s)
}
