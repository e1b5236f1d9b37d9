package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// Client talks to one daemon. Each request is a connection of its own.
type Client struct{ socket string }

// longestLine is the most bytes of one event that are read.
const longestLine = 1 << 20

// statusTime is how long a daemon may take to say who it is.
const statusTime = 2 * time.Second

// Failed is a request that the daemon has refused.
type Failed struct {
	Code    int    // of HTTP
	Message string // a sentence
}

func (f *Failed) Error() string { return f.Message }

// Get reads one resource, below /v1/, into a struct.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	return c.Do(ctx, http.MethodGet, path, "", nil, into)
}

// Do sends one request, with a body of a type or none, and reads the answer into
// a struct. It ends with ctx.
func (c *Client) Do(ctx context.Context, method, path, kind string, body []byte, into any) error {
	return c.do(ctx, method, path, kind, body, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(into)
	})
}

// Events calls each with every event after since, as it comes if follow. An error of each
// ends it, and is its error.
func (c *Client) Events(ctx context.Context, since uint64, follow bool, each func(Event, []byte) error) error {
	path := fmt.Sprintf("events?since=%d&follow=%v", since, follow)
	var ended error // by each
	err := c.do(ctx, http.MethodGet, path, "", nil, func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, longestLine)
		for lines.Scan() {
			var e Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return err
			}
			if ended = each(e, lines.Bytes()); ended != nil {
				return ended
			}
		}
		return lines.Err()
	})
	if ended != nil {
		return ended
	}
	return err
}

func (c *Client) do(ctx context.Context, method, path, kind string, body []byte, read func(io.Reader) error) error {
	err := c.exchange(ctx, method, path, kind, body, read)
	if ctx.Err() != nil {
		return ctx.Err() // and not what it did to the connection
	}
	var failed *Failed
	if err != nil && !errors.As(err, &failed) {
		err = fmt.Errorf("the mount does not answer: %w", named(err, c.socket))
	}
	return err
}

func (c *Client) exchange(ctx context.Context, method, path, kind string, body []byte, read func(io.Reader) error) error {
	conn, err := dial(c.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://bipfs/v%d/%s", API, path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Close = true
	unsent := req.Write(conn) // a body that is refused is not read to its end: the answer says why
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return errors.Join(named(unsent, c.socket), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return read(resp.Body)
	}
	f := Failure{Error: resp.Status}
	_ = json.NewDecoder(io.LimitReader(resp.Body, longestLine)).Decode(&f) // or the status has to do
	return &Failed{resp.StatusCode, f.Error}
}

// Found is a daemon that answers.
type Found struct {
	*Client
	Status Status
}

// Find are the daemons with sockets in one of the folders. Those that are dead
// or belong to others are left out.
func Find(ctx context.Context, dirs ...string) (all []Found) {
	for _, dir := range dirs {
		for _, socket := range Sockets(dir) {
			if f, err := Ask(ctx, socket); err == nil {
				all = append(all, f)
			}
		}
	}
	return all
}

// Ask is the daemon at a socket.
func Ask(ctx context.Context, socket string) (Found, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	f := Found{Client: &Client{socket}}
	return f, f.Get(ctx, "status", &f.Status)
}

// Choose is the one daemon whose mount path lies in, or the only one if path is
// "".
func Choose(all []Found, path string) (Found, error) {
	if path == "" {
		switch len(all) {
		case 0:
			return Found{}, errors.New("nothing is mounted by this user: bipfs mount MOUNTPOINT")
		case 1:
			return all[0], nil
		}
		return Found{}, fmt.Errorf("there are several mounts: say which by --mount PATH: %s", mountpoints(all))
	}
	var best *Found
	for i, f := range all {
		at := f.Status.Mountpoint
		if _, ok := Below(path, at); ok && (best == nil || len(at) > len(best.Status.Mountpoint)) {
			best = &all[i]
		}
	}
	switch {
	case best != nil:
		return *best, nil
	case len(all) == 0:
		return Found{}, fmt.Errorf("no mount of this user that answers has %s, and there is no other", path)
	}
	return Found{}, fmt.Errorf("%s lies in no mount of this user; there are: %s", path, mountpoints(all))
}

// Below is path as it is called from dir, which it lies in or is.
func Below(path, dir string) (string, bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	if rel == "." {
		rel = ""
	}
	return rel, true
}

func mountpoints(all []Found) string {
	var names []string
	for _, f := range all {
		names = append(names, f.Status.Mountpoint)
	}
	return strings.Join(names, ", ")
}
