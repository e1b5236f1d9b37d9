package web

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"bipfs/engine/control"

	"golang.org/x/net/webdav"
)

// The tree of the mount for file managers (RFC 4918, class 1, read-only). The
// bytes of files are streamed as to everybody; webdav.Handler is asked for lists
// alone, and nothing is opened for them: what a file is, is told by its name.
const (
	// mostListings is how many lists are put together at a time.
	mostListings = 4
	// mostListed is how many entries a directory may have to be listed. A list
	// that is shorter than the truth would be a lie.
	mostListed = 50_000
	// longestQuery is the most bytes of a PROPFIND's body.
	longestQuery = 64 << 10
)

var errBusy = errors.New("too many directories are being listed: ask again")

// newDAV answers below /dav/.
func newDAV(s *server) http.Handler {
	lists := &webdav.Handler{Prefix: "/dav", FileSystem: folders{s.Site}, LockSystem: webdav.NewMemLS()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodOptions:
			w.Header().Set("Allow", "OPTIONS, GET, HEAD, PROPFIND")
			w.Header().Set("DAV", "1")
			w.Header().Set("MS-Author-Via", "DAV")
		case "PROPFIND":
			s.listDAV(w, r, lists)
		default:
			s.stream(w, r, below(strings.TrimPrefix(r.URL.Path, "/dav")))
		}
	})
}

// listDAV answers a PROPFIND.
func (s *server) listDAV(w http.ResponseWriter, r *http.Request, lists http.Handler) {
	if d := r.Header.Get("Depth"); d != "0" && d != "1" {
		refuse(w, http.StatusForbidden, "Depth is 0 or 1 (propfind-finite-depth)")
		return
	}
	r.Header.Del("If") // nothing is locked
	select {
	case s.listing <- struct{}{}:
		defer func() { <-s.listing }()
	default:
		s.fail(w, errBusy)
		return
	}
	e, err := s.Stat(below(strings.TrimPrefix(r.URL.Path, "/dav")))
	if err == nil && e.Dir && r.Header.Get("Depth") == "1" {
		var all int
		if _, all, err = s.List(below(strings.TrimPrefix(r.URL.Path, "/dav")), 0, 0); all > mostListed {
			err = control.As(control.ErrRefused, errors.New("the directory has too many entries to be listed"))
		}
	}
	if err != nil {
		s.fail(w, err)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(answerTime))
	r.Body = http.MaxBytesReader(w, r.Body, longestQuery)
	lists.ServeHTTP(w, r)
}

// below is a path of the tree.
func below(name string) string { return strings.Trim(path.Clean("/"+name), "/") }

// folders is the tree as a webdav.FileSystem.
type folders struct{ tree Tree }

func (f folders) Mkdir(context.Context, string, os.FileMode) error { return fs.ErrPermission }
func (f folders) RemoveAll(context.Context, string) error          { return fs.ErrPermission }
func (f folders) Rename(context.Context, string, string) error     { return fs.ErrPermission }

// Stat implements webdav.FileSystem.
func (f folders) Stat(_ context.Context, name string) (os.FileInfo, error) {
	e, err := f.tree.Stat(below(name))
	if errors.Is(err, control.ErrUnknown) {
		return nil, fs.ErrNotExist
	}
	return told{e}, err
}

// OpenFile opens a directory, or a file of which nothing but what it is will be
// asked.
func (f folders) OpenFile(ctx context.Context, name string, flag int, _ os.FileMode) (webdav.File, error) {
	if flag != os.O_RDONLY {
		return nil, fs.ErrPermission
	}
	info, err := f.Stat(ctx, name)
	if err != nil {
		return nil, err
	}
	return listed{f.tree, below(name), info}, nil
}

// listed is a file or directory that is told of.
type listed struct {
	tree Tree
	path string
	info os.FileInfo
}

func (l listed) Stat() (os.FileInfo, error)     { return l.info, nil }
func (l listed) Close() error                   { return nil }
func (l listed) Read([]byte) (int, error)       { return 0, io.EOF }
func (l listed) Seek(int64, int) (int64, error) { return 0, fs.ErrPermission }
func (l listed) Write([]byte) (int, error)      { return 0, fs.ErrPermission }

// Readdir is what is in a directory. Links are left out: there are none here.
func (l listed) Readdir(int) (all []os.FileInfo, err error) {
	entries, _, err := l.tree.List(l.path, 0, mostListed)
	for _, e := range entries {
		if !e.Link {
			all = append(all, told{e})
		}
	}
	return all, err
}

// told is what an entry is.
type told struct{ e Entry }

func (t told) Name() string       { return t.e.Name }
func (t told) Size() int64        { return t.e.Length }
func (t told) ModTime() time.Time { return t.e.Modified }
func (t told) IsDir() bool        { return t.e.Dir }
func (t told) Sys() any           { return nil }
func (t told) Mode() os.FileMode {
	if t.e.Dir {
		return os.ModeDir | 0o555
	}
	return 0o444
}

// ContentType implements webdav.ContentTyper: otherwise files would be read to
// find out.
func (t told) ContentType(context.Context) (string, error) { return kindOf(t.e.Name).media, nil }

// ETag implements webdav.ETager.
func (t told) ETag(context.Context) (string, error) { return etag(t.e), nil }

var (
	_ webdav.FileSystem   = folders{}
	_ webdav.File         = listed{}
	_ webdav.ContentTyper = told{}
	_ webdav.ETager       = told{}
)
