package engine

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"bipfs/engine/metainfo"
)

// Seed adds a torrent together with its content, which lies at path: the file
// of a single-file torrent, or the folder of another. The content is copied
// into the data folder and checked there; what does not match is not served.
// It returns how many of the torrent's pieces are right.
func (c *Client) Seed(ctx context.Context, m *metainfo.Torrent, path string) (t *Torrent, right int, err error) {
	if t, err = c.Add(Source{Torrent: m}); err != nil {
		return nil, 0, err
	}
	if err := os.MkdirAll(filepath.Dir(t.DataFile(0)), 0o700); err != nil {
		return nil, 0, err
	}
	for i, f := range m.Info.Files {
		if f.Pad || f.Length == 0 {
			continue
		}
		from := path
		if !m.Info.Single {
			from = filepath.Join(append([]string{path}, f.Path...)...)
		}
		if err := copyFile(t.DataFile(i), from); err != nil {
			return nil, 0, err
		}
	}
	store, err := t.open()
	if err != nil {
		return nil, 0, err
	}
	right, err = store.Verify(ctx)
	return t, right, err
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err2 := out.Close(); err == nil {
		err = err2
	}
	return err
}
