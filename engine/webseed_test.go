package engine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// web serves the folder that the content is in; wrap may change what it does.
func web(t *testing.T, c *content, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	h := http.Handler(http.FileServer(http.Dir(filepath.Dir(c.path))))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// fromWeb is a client with the torrent of the content and these web seeds.
func fromWeb(t *testing.T, c *content, cfg Config, urls ...string) (*Client, *Torrent) {
	t.Helper()
	cfg.webSeedPause = 50 * time.Millisecond
	leech := testClient(t, cfg)
	m := *c.meta
	m.WebSeeds = urls
	torrent, err := leech.Add(Source{Torrent: &m})
	if err != nil {
		t.Fatal(err)
	}
	return leech, torrent
}

// TestReadFromWebSeed: a web seed alone is enough, for a folder and for a
// magnet link's torrent, and the requests are few.
func TestReadFromWebSeed(t *testing.T) {
	c := newContent(t, 64<<10, 1, 0, 300_000, 20_000_000, 16<<10, 5, 70_001)
	var requests atomic.Int64
	u := web(t, c, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			h.ServeHTTP(w, r)
		})
	})
	_, torrent := fromWeb(t, c, Config{}, u)
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests for a torrent that nobody reads", n)
	}
	readAll(t, torrent, c)
	t.Logf("%d requests for %d blocks", requests.Load(), c.meta.Info.Length>>14)
}

// TestWebSeedOfMagnet: metadata from a peer that has no data, data from ws=.
func TestWebSeedOfMagnet(t *testing.T) {
	c := newContent(t, 64<<10, 500_000, 3)
	holder := testClient(t, Config{})
	if _, err := holder.Add(Source{Torrent: c.meta}); err != nil {
		t.Fatal(err)
	}
	leech := testClient(t, Config{Peers: []string{holder.addr()}})
	torrent, err := leech.Add(Source{Magnet: &metainfo.Magnet{Hash: c.meta.Info.Hash, WebSeeds: []string{web(t, c, nil) + "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	resolved(t, torrent)
	readAll(t, torrent, c)
}

// TestWebSeedOfOneFile: at its own URL, in a directory, and where another server
// sends us.
func TestWebSeedOfOneFile(t *testing.T) {
	c := newContent(t, 64<<10, 300_000)
	name := "d0/f0"
	alone := &content{meta: create(t, filepath.Join(c.path, name), 32<<10), files: map[string][]byte{"f0": c.files[name]}}
	direct := web(t, c, nil)
	sent := web(t, c, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, direct+r.URL.Path, http.StatusTemporaryRedirect)
		})
	})
	for _, u := range []string{direct + "/folder/d0/f0", direct + "/folder/d0/", sent + "/folder/d0/f0"} {
		_, torrent := fromWeb(t, alone, Config{}, u)
		readAll(t, torrent, alone)
	}
}

// TestWebSeedsThatFail: what one web seed does wrong another makes good.
func TestWebSeedsThatFail(t *testing.T) {
	c := newContent(t, 64<<10, 400_000, 100_000)
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"404":         func(http.Handler) http.Handler { return http.NotFoundHandler() },
		"wrong bytes": func(h http.Handler) http.Handler { return flipped(h) },
		"no ranges": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Range")
				h.ServeHTTP(w, r)
			})
		},
		"redirect loop": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })
		},
		"short": func(h http.Handler) http.Handler { return cut(h, func(n int) int { return n - 1 }) },
		"empty": func(h http.Handler) http.Handler { return cut(h, func(int) int { return 0 }) },
		"endless": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var from, to int
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to))
				w.WriteHeader(http.StatusPartialContent)
				for zeros := make([]byte, 64<<10); ; {
					if _, err := w.Write(zeros); err != nil {
						return
					}
				}
			})
		},
		"wrong range": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Set("Range", "bytes=1-16384")
				h.ServeHTTP(w, r)
			})
		},
		"silent": func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		},
		"file URL": func(http.Handler) http.Handler { return http.RedirectHandler("file:///etc/passwd", http.StatusFound) },
		"packed": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				h.ServeHTTP(w, r)
			})
		},
		"busy": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "3600")
				http.Error(w, "later", http.StatusServiceUnavailable)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var bad atomic.Int64
			u := web(t, c, func(h http.Handler) http.Handler {
				h = wrap(h)
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					bad.Add(1)
					h.ServeHTTP(w, r)
				})
			})
			// The good one waits: a bad one that nobody asks does nothing wrong.
			var torrent *Torrent
			banned := func() bool {
				torrent.mu.Lock()
				defer torrent.mu.Unlock()
				return torrent.liars[u]
			}
			good := web(t, c, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for end := time.Now().Add(2 * time.Second); name == "wrong bytes" && !banned() && time.Now().Before(end); {
						time.Sleep(10 * time.Millisecond)
					}
					h.ServeHTTP(w, r)
				})
			})
			_, torrent = fromWeb(t, c, Config{}, u, good)
			readAll(t, torrent, c)
			if n := bad.Load(); n > 16 {
				t.Errorf("%d requests to the bad one", n)
			}
			if name == "wrong bytes" {
				eventually(t, "the ban is not told", func() bool { return slices.Contains(words(torrent.c), evBanned) })
			}
			torrent.mu.Lock()
			defer torrent.mu.Unlock()
			lies := name == "wrong bytes" || name == "endless"
			if torrent.liars[u] && !lies || name == "wrong bytes" && !torrent.liars[u] || len(torrent.liars) > 1 {
				t.Errorf("banned: %v", torrent.liars)
			}
		})
	}
}

// cut serves the beginning of each body, as if it were all.
func cut(h http.Handler, most func(n int) int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes()[:most(answer.Body.Len())])
	})
}

// flipped serves wrong bytes of the right length.
func flipped(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(flipper{w}, r) })
}

type flipper struct{ http.ResponseWriter }

func (f flipper) Write(b []byte) (int, error) {
	c := make([]byte, len(b))
	for i := range b {
		c[i] = ^b[i]
	}
	return f.ResponseWriter.Write(c)
}
