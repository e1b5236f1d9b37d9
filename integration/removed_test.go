package integration

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRemovedGivesWay: what removed torrents keep counts after a restart with less room,
// and goes before what the others have; what is left of it is used when it is added
// again. A file that bipfs did not make stays.
func TestRemovedGivesWay(t *testing.T) {
	t.Parallel()
	const size, disk = 8 << 20, 12 << 20
	first, second, kept := torrentOf(t, file(t, "removed first.bin", size), 64<<10), torrentOf(t, file(t, "removed second.bin", size), 64<<10), torrentOf(t, file(t, "kept.bin", size), 64<<10)
	seeder := scripted(t, manner{}, first, second, kept)
	o := mounting{data: filepath.Join(tempDir(t), "data"), flags: append(peerFlags(seeder), "--keep-free", "0"), sources: []string{first.file, second.file, kept.file}}
	m := mountBipfs(t, o)
	for _, to := range []*torrent{kept, second, first} { // what was read last goes first, as it is removed
		same(t, to.shown(m), to.content)
	}
	eventually(t, longEnough, "it is not stored", func() bool { return stored(m.data) >= 3*size })
	for _, to := range []*torrent{first, second} {
		run(t, longEnough, bipfs, "rm", "--control", m.control(), to.hash())
	}
	m.stop(5 * time.Second)
	folder := func(to *torrent) string { return filepath.Join(m.data, "torrents", to.hash()) }
	foreign := []string{filepath.Join(m.data, "torrents", "mine", "film.mkv"), filepath.Join(folder(first), "data", "notes.txt")}
	if err := os.Mkdir(filepath.Dir(foreign[0]), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range foreign {
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	o.flags, o.sources = append(o.flags, "--disk", "12MiB"), nil
	m = mountBipfs(t, o)
	takes := func(to *torrent) int64 {
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(folder(to), "data", "0"), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	eventually(t, longEnough, "the store is not brought down", func() bool { return takes(first)+takes(second)+takes(kept) <= disk })
	if takes(first) > 64<<10 || takes(second) < 1<<20 || takes(kept) < size {
		t.Errorf("left are %d of what was removed first, %d of the second, %d of what is there", takes(first), takes(second), takes(kept))
	}
	watchStore(t, m.data, disk+64<<10+4096) // and the note
	left, sent := takes(second), seeder.sent.Load()
	run(t, longEnough, bipfs, "add", "--control", m.control(), second.file)
	same(t, second.shown(m), second.content)
	if fetched := seeder.sent.Load() - sent; fetched > size-left/2 {
		t.Errorf("%d bytes were fetched, %d of %d were there", fetched, left, size)
	}
	same(t, kept.shown(m), kept.content)
	for _, path := range foreign {
		if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	m.stop(5 * time.Second)
}

// A lentMount is a kept one of which the kernel reads a file by itself: all of whole,
// which another process has open. There is no room for it beside the other two.
type lentMount struct {
	*keptMount
	whole, before, after *torrent
	open                 *held
	worker               keptStatus // that has lent it
}

func lendWhole(t *testing.T) *lentMount {
	t.Helper()
	k := &lentMount{
		whole:  torrentOf(t, file(t, "whole.bin", 8<<20), 256<<10),
		before: torrentOf(t, file(t, "before.bin", 24<<20), 256<<10), after: torrentOf(t, file(t, "after.bin", 24<<20), 256<<10),
	}
	seeder := scripted(t, manner{}, k.whole, k.before, k.after)
	k.keptMount = mountKept(t, mounting{
		flags: append(peerFlags(seeder), "--disk", "24MiB"), sources: []string{k.whole.file, k.before.file, k.after.file},
	})
	k.same(t, k.whole)
	k.open = hold(t, k.whole.shown(k.mount))
	k.worker = k.asked(t)
	wrote := wroteBy(t, k.worker.PID)
	k.open.read(t, k.whole, 5<<20)
	if n := wroteBy(t, k.worker.PID) - wrote; n > 64<<10 {
		t.Fatalf("a complete file is not read by the kernel: bipfs wrote %d bytes", n)
	}
	return k
}

// stays reads all of the open file, to its end.
func (k *lentMount) stays(t *testing.T) {
	t.Helper()
	for off := int64(0); off < k.whole.Info.Length; off += 256 << 10 {
		k.open.read(t, k.whole, off)
	}
	k.open.in.Close()
	k.open.exits(longEnough)
}

// TestRemovedIsHeld: what the kernel reads by itself of a torrent that was removed stays,
// though the process that lent it has died and the store has to give way; also when it
// was added again.
func TestRemovedIsHeld(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, again := range map[string]bool{"removed": false, "added again": true} {
		t.Run(name, func(t *testing.T) { removedIsHeld(t, again) })
	}
}

func removedIsHeld(t *testing.T, again bool) {
	k := lendWhole(t)
	run(t, longEnough, k.program, "rm", "--control", k.control(), k.whole.hash())
	if again {
		run(t, longEnough, k.program, "add", "--control", k.control(), k.whole.file)
	}
	k.same(t, k.before)
	k.open.read(t, k.whole, 5<<20)
	k.killed(t, k.worker)
	k.same(t, k.after)
	gone := filepath.Join(k.data, "torrents", k.before.hash(), "data", "0")
	eventually(t, longEnough, "what was read before does not give way", func() bool {
		var st syscall.Stat_t
		return syscall.Stat(gone, &st) == nil && st.Blocks*512 < 2<<20 && stored(k.data) > 20<<20
	})
	k.stays(t)
}
