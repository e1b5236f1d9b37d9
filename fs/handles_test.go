package fs

import (
	"encoding/binary"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// damaged is a memory file with what follows the page of the mount.
func damaged(t *testing.T, records []byte) *handles {
	t.Helper()
	h := testNodes(newMemory()).kept
	if _, err := h.file.WriteAt(records, statePage); err != nil {
		t.Fatal(err)
	}
	return &handles{file: h.file}
}

// FuzzResume: whatever is in the memory file, what is open is opened once, can be
// closed, and then nothing is left.
func FuzzResume(f *testing.F) {
	record := func(kind, fh, node, unique, back uint64) (b []byte) {
		for _, v := range []uint64{kind, fh, node, unique, back} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		return append(b, make([]byte, recordLength-len(b))...)
	}
	twice := record(kindCached, 1, 11, 3, 0)
	f.Add(twice)
	f.Add(append(twice, twice...))
	f.Add(append(twice, record(kindPassing, 2, 11, 4, 1)...))
	f.Add(record(kindPassing, 2, 1<<63, 4, 1<<63))
	f.Add(make([]byte, 3*recordLength+1))
	f.Fuzz(func(t *testing.T, records []byte) {
		tree := newMemory()
		h := damaged(t, records)
		defer h.file.Close()
		n := newNodes(tree, Options{}.withDefaults(), h)
		if err := n.resume(); err != nil {
			t.Fatal(err)
		}
		n.modes.serve(&refuser{takes: 1})
		var out fuse.OpenOut
		if s := n.Open(nil, openIn(11, 99), &out); s == fuse.OK {
			release(n, 11, out.Fh)
		}
		again := &handles{file: h.file}
		all, err := again.read()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			release(n, o.node, o.fh)
		}
		if len(n.files.open) != 0 || len(n.modes.of) != 0 || tree.handles.Load() != 0 {
			t.Errorf("left are %v, %v, %d handles", n.files.open, n.modes.of, tree.handles.Load())
		}
	})
}
