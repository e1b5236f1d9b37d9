//go:build linux

package main

import (
	"container/list"
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/fs"
)

// MOUNTPOINT/<infohash> of a torrent that nobody has added (docs/adr/0028).
//
//	lookup ──▶ a directory, of which nothing is known ──open, or a name in it──▶ guest
//	                     nothing is sent                       the swarm is joined
//
// The id of the directory is made of its infohash, so that it is the same before, while
// and after there is a torrent. What is in it has ids of the torrent's slot.

// visitBit tells the id of such a directory: slots are below 2^31.
const visitBit fs.ID = 1 << 63

// mostVisits is how many infohashes are remembered that were looked up. Those that are
// open are found among the torrents, too.
const mostVisits = 1024

// walkTime is how long a name in such a directory is waited for, at most. The kernel holds
// the lock of the directory meanwhile: who wants to change it, or to remove it, waits too.
const walkTime = 30 * time.Second

// onDemand is who may open an infohash that nobody has added.
type onDemand string

const (
	onDemandOff   onDemand = "off"
	onDemandOwner onDemand = "owner"
	onDemandAll   onDemand = "all"
)

// visiting is the tree's part of it.
type visiting struct {
	who      onDemand
	owner    uint32        // of the mount
	patience time.Duration // of who opens one; 0: for ever

	mu    sync.Mutex
	of    map[fs.ID]*list.Element
	order list.List // of visits, the latest first
}

// visit is an infohash that was looked up: 40 or 64 lower-case hexadecimal digits.
type visit struct {
	id       fs.ID
	infohash string
}

// visitOf reads an infohash in hexadecimal digits.
func visitOf(name string) (v visit, ok bool) {
	if len(name) != 40 && len(name) != 64 {
		return v, false
	}
	b, err := hex.DecodeString(name)
	if err != nil {
		return v, false
	}
	// go-fuse keeps the greatest id for itself.
	return visit{visitBit | fs.ID(binary.BigEndian.Uint64(b)>>2), strings.ToLower(name)}, true
}

// note remembers a visit, and forgets the one that was noted longest ago.
func (s *visiting) note(v visit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[fs.ID]*list.Element{}
	}
	if e := s.of[v.id]; e != nil {
		e.Value = v
		s.order.MoveToFront(e)
		return
	}
	s.of[v.id] = s.order.PushFront(v)
	if s.order.Len() > mostVisits {
		last := s.order.Back()
		s.order.Remove(last)
		delete(s.of, last.Value.(visit).id)
	}
}

func (s *visiting) noted(id fs.ID) (infohash string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.of[id]
	if e == nil {
		return "", false
	}
	return e.Value.(visit).infohash, true
}

// visited is what the id of an infohash's directory stands for. There may be no torrent.
func (t *tree) visited(of fs.ID) (infohash string, torrent *engine.Torrent, err error) {
	if infohash, ok := t.noted(of); ok {
		return infohash, t.client.ByInfohash(infohash), nil
	}
	for _, guest := range t.client.Torrents() {
		if v, _ := visitOf(guest.ID()); guest.Guest() && v.id == of {
			return v.infohash, guest, nil
		}
	}
	return "", nil, syscall.ENOENT
}

// dirID is the id of the directory of a torrent.
func dirID(torrent *engine.Torrent) fs.ID {
	if torrent.Guest() {
		v, _ := visitOf(torrent.ID())
		return v.id
	}
	return id(torrent.Slot(), 0)
}

// visitAttr is the attributes of an infohash's directory. Only who may open it enters.
func (t *tree) visitAttr(of fs.ID) fs.Attr {
	a := fs.Attr{ID: of, Mode: syscall.S_IFDIR | 0o555, Links: 2, Mtime: started, Ctime: started}
	if t.who != onDemandAll {
		a.Mode = syscall.S_IFDIR | 0o500
	}
	return a
}

// Walk implements fs.Walker: it is asked for infohashes, and for names in the directory
// of one whose metadata is not here.
func (t *tree) Walk(ctx context.Context, dir fs.ID, name string, by fs.Caller) (fs.Attr, error) {
	if dir&visitBit != 0 {
		// Shells, prompts and file managers look for their own in every directory.
		if strings.HasPrefix(name, ".") {
			return fs.Attr{}, syscall.ENODATA
		}
		patience := walkTime
		if t.patience > 0 {
			patience = min(patience, t.patience)
		}
		if err := t.open(ctx, dir, patience); err != nil {
			return fs.Attr{}, err
		}
		return t.Lookup(dir, name)
	}
	v, ok := visitOf(name)
	if !ok || t.who == onDemandOff {
		return fs.Attr{}, syscall.ENOENT
	}
	if t.who == onDemandOwner && by.UID != t.owner && by.UID != 0 && t.client.ByInfohash(v.infohash) == nil {
		return fs.Attr{}, syscall.ENOENT
	}
	t.note(v)
	return t.visitAttr(v.id), nil
}

// open joins the swarm of an infohash and waits for its metadata, so long at most; 0 is
// for ever.
func (t *tree) open(ctx context.Context, dir fs.ID, patience time.Duration) error {
	infohash, _, err := t.visited(dir)
	if err != nil {
		return err
	}
	torrent, done, err := t.client.Visit(infohash)
	if err != nil {
		return err
	}
	defer done()
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, syscall.ETIMEDOUT)
		defer cancel()
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-torrent.Resolved():
			return nil
		case <-torrent.Unusable():
			return syscall.ENODATA
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
			if torrent.Removed() {
				return engine.ErrRemoved
			}
			if torrent.Stopped() {
				return engine.ErrStopped
			}
		}
	}
}

// lookupVisit is Lookup in an infohash's directory.
func (t *tree) lookupVisit(dir fs.ID, name string) (fs.Attr, error) {
	_, torrent, err := t.visited(dir)
	if err != nil {
		return fs.Attr{}, err
	}
	if torrent == nil || torrent.Info() == nil {
		return fs.Attr{}, fs.ErrWalk
	}
	return child(torrent, 0, name)
}

// child finds a name below an entry of a torrent.
func child(torrent *engine.Torrent, e uint32, name string) (fs.Attr, error) {
	info := torrent.Info()
	if info == nil {
		return fs.Attr{}, syscall.ENODATA // not ENOENT: nobody knows yet
	}
	c, ok := info.Tree().Lookup(e, name)
	if !ok {
		return fs.Attr{}, syscall.ENOENT
	}
	return attr(torrent, c)
}

// nodeOrVisit is node, for the directory of an infohash too.
func (t *tree) nodeOrVisit(of fs.ID) (*engine.Torrent, uint32, error) {
	if of&visitBit == 0 {
		return t.node(of)
	}
	_, torrent, err := t.visited(of)
	if err == nil && torrent == nil {
		err = syscall.ENODATA // it has been forgotten
	}
	return torrent, 0, err
}

// tree is what the mount shows.
func (m *mountCommand) tree(client *engine.Client, options fs.Options) *tree {
	t := newTree(client, options.Log)
	t.who, t.owner, t.patience = m.OnDemand, uint32(os.Geteuid()), m.ReadTimeout
	if options.UID != nil {
		t.owner = *options.UID
	}
	return t
}
