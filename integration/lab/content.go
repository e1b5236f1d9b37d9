package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"bipfs/engine/metainfo"
)

// content is a torrent and what is in it. All of it lies in memory.
type content struct {
	torrent  string // the .torrent
	magnet   string
	name     string // of the file or folder
	original string // its path
	image    string // all its bytes in one file
	size     int64
	piece    int64
	single   bool
}

// file is a torrent of one file, made once in a run. Its bytes are the same on
// every machine.
func (l *lab) file(ctx context.Context, size, piece int64) (content, error) {
	name := fmt.Sprintf("film-%d.bin", size>>10)
	at := filepath.Join(l.ram, name)
	if _, err := os.Stat(at); err != nil {
		if err := fill(at, size, uint64(size)); err != nil {
			return content{}, err
		}
	}
	return l.describe(ctx, content{name: name, original: at, image: at, single: true}, piece)
}

// tree is a torrent of many small files, a hundred in each folder.
func (l *lab) tree(ctx context.Context, files, least, most int) (content, error) {
	name := fmt.Sprintf("tree-%d", files)
	at, image := filepath.Join(l.ram, name), filepath.Join(l.ram, name+".image")
	if _, err := os.Stat(image); err != nil {
		for i := range files {
			dir := filepath.Join(at, fmt.Sprintf("d%04d", i/100))
			if i%100 == 0 {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return content{}, err
				}
			}
			length := int64(least)
			if most > least {
				length += int64(mix(uint64(i)) % uint64(most-least))
			}
			if err := fill(filepath.Join(dir, fmt.Sprintf("file%06d.bin", i)), length, uint64(i+1)<<32); err != nil {
				return content{}, err
			}
		}
	}
	c, err := l.describe(ctx, content{name: name, original: at, image: image}, 256<<10)
	if err != nil {
		return c, err
	}
	if _, err := os.Stat(image); err == nil {
		return c, nil
	}
	return c, join(c)
}

// describe makes the .torrent, once in a run.
func (l *lab) describe(ctx context.Context, c content, piece int64) (content, error) {
	c.torrent, c.piece = filepath.Join(l.ram, fmt.Sprintf("%s-%d.torrent", c.name, piece>>10)), piece
	b, err := os.ReadFile(c.torrent)
	if err != nil {
		t, err := metainfo.Create(ctx, c.original, metainfo.CreateOptions{PieceLength: piece, Trackers: []string{announceURL}})
		if err != nil {
			return c, err
		}
		b = t.Encode()
		if err := os.WriteFile(c.torrent, b, 0o644); err != nil {
			return c, err
		}
	}
	t, err := metainfo.Parse(b)
	if err != nil {
		return c, err
	}
	c.size = t.Info.Length
	c.magnet = (&metainfo.Magnet{Hash: t.Info.Hash, Name: t.Info.Name, Trackers: []string{announceURL}}).String()
	return c, nil
}

// join writes all files of a torrent behind each other.
func join(c content) (err error) {
	b, err := os.ReadFile(c.torrent)
	if err != nil {
		return err
	}
	t, err := metainfo.Parse(b)
	if err != nil {
		return err
	}
	out, err := os.Create(c.image)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	for _, f := range t.Info.Files {
		b, err := os.ReadFile(filepath.Join(append([]string{c.original}, f.Path...)...))
		if err != nil {
			return err
		}
		w.Write(b) // its error stays, and comes with Flush
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.Close()
}

// fill makes a file of bytes that no compression and no other file has.
func fill(at string, size int64, seed uint64) error {
	f, err := os.Create(at)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, min(size, 1<<20)+8)
	for off := int64(0); off < size; off += 1 << 20 {
		n := min(size-off, 1<<20)
		for i := int64(0); i < n; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], mix(seed+uint64(off+i)))
		}
		if _, err := f.Write(b[:n]); err != nil {
			return err
		}
	}
	return nil
}

// mix is splitmix64: a number from which nobody sees the one before.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
