//go:build linux

package main

import (
	"strings"
	"syscall"

	"bipfs/engine"
	"bipfs/fs"
)

// Folders of the mount that torrents stand in (docs/adr/0037). What is listed has the
// place of its slot: what comes while somebody lists changes nothing before it.

// listStep is how many entries of a folder are looked at at a time: the lock of all
// torrents is held meanwhile.
const listStep = 128

// folder is the folder that an id stands for, if no torrent has it (err).
func (t *tree) folder(of fs.ID, err error) *engine.Directory {
	if err == nil || uint32(of) != 0 || of>>32 == 0 || of&visitBit != 0 {
		return nil
	}
	return t.client.DirectoryBySlot(uint32(of >> 32))
}

func folderID(d *engine.Directory) fs.ID {
	if d == nil || d.Slot() == 0 {
		return rootID
	}
	return id(d.Slot(), 0)
}

// folderAttr is what is told of a folder. None of it changes, whatever comes and goes.
func folderAttr(d *engine.Directory) fs.Attr {
	return fs.Attr{ID: folderID(d), Mode: syscall.S_IFDIR | 0o555, Links: 2, Mtime: d.Made(), Ctime: d.Made(), Fixed: true}
}

// standsIn is the folder that a torrent stands in.
func (t *tree) standsIn(torrent *engine.Torrent) fs.ID {
	where, ok := torrent.Where().Parent()
	if !ok {
		return rootID
	}
	return id(where.Slots[len(where.Slots)-1], 0)
}

// lookupFolder finds a name in a folder, or in the root.
func (t *tree) lookupFolder(d *engine.Directory, name string) (fs.Attr, error) {
	if strings.Contains(name, "/") {
		return fs.Attr{}, syscall.ENOENT // it would be a path
	}
	path := d.Below(name)
	torrent, listed := t.client.ByName(path)
	if listed {
		return attr(torrent, 0)
	}
	if below := t.client.Directory(path); below != nil {
		return folderAttr(below), nil
	}
	if torrent == nil || torrent.Guest() {
		return fs.Attr{}, syscall.ENOENT
	}
	for i, earlier := range torrent.Earlier() {
		if earlier == name {
			return attr(torrent, firstLink+uint32(i))
		}
	}
	return attr(torrent, hashLink)
}

// listFolder is List of a folder, or of the root.
func listFolder(d *engine.Directory, from uint64, yield func(next uint64, e fs.Entry) bool) error {
	if from > 1<<32-1 {
		return nil // no slot
	}
	for slot := uint32(from); ; {
		members := d.After(slot, listStep)
		for _, m := range members {
			slot = m.Slot
			a, err := memberAttr(m)
			if err != nil {
				return err
			}
			if !yield(uint64(slot), fs.Entry{Name: m.Name, Attr: a}) {
				return nil
			}
		}
		if len(members) < listStep {
			return nil
		}
	}
}

func memberAttr(m engine.Member) (fs.Attr, error) {
	if m.Directory != nil {
		return folderAttr(m.Directory), nil
	}
	return attr(m.Torrent, 0)
}

// linkTarget is where a link leads: from the infohash, which is in the root, or from an
// earlier name, which is beside the one that is shown now.
func linkTarget(torrent *engine.Torrent, e uint32) string {
	if e == hashLink {
		return torrent.Path()
	}
	return torrent.Name()
}

// placeOf is where a torrent or a folder is, for the kernel.
func placeOf(w engine.Where) fs.Place {
	p := fs.Place{Path: w.Path}
	for _, slot := range w.Slots {
		p.IDs = append(p.IDs, id(slot, 0))
	}
	return p
}

// forget has the kernel forget a name, which it may keep for a year.
func forget(kernel fs.Kernel, w engine.Where, dead bool) {
	p := placeOf(w)
	dir, name := p.Last()
	if dead {
		kernel.Gone(dir, p.ID(), name)
	} else {
		kernel.Entry(dir, name)
	}
}
