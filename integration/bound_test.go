package integration

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestBound: far more than may be stored is read round and round by four readers, two
// of torrents, two of one long file. No more is ever stored, every byte is right, and
// no reader sees an error. make soak: 5 GiB of each with --disk 1GiB, for ten minutes.
func TestBound(t *testing.T) {
	t.Parallel()
	disk, size, pieceLength, span, memory := int64(16<<20), int64(8<<20), int64(256<<10), 2*time.Second, "32MiB"
	if *soak {
		disk, size, pieceLength, span, memory = 1<<30, 1<<30, 1<<20, 10*time.Minute, "256MiB"
	}
	var all []*torrent
	for i := range 5 {
		all = append(all, torrentOf(t, file(t, fmt.Sprintf("bound-%d.bin", i), size), pieceLength))
	}
	long := torrentOf(t, file(t, "bound-long.bin", 5*size+4321), pieceLength)
	seeder := scripted(t, manner{}, append(all, long)...)
	o := mounting{flags: append(peerFlags(seeder), "--disk", fmt.Sprint(disk), "--memory", memory, "--keep-free", "0")}
	for _, to := range append(all, long) {
		o.sources = append(o.sources, to.file)
	}
	m := mountBipfs(t, o)
	most := watchStore(t, m.data, disk+4*pieceLength)

	// Each round reads all of its files to the end, not out of the kernel's memory.
	const rounds = `until=$1; shift
while [ $(date +%s%N) -lt $until ]; do
	for pair; do
		[ $(date +%s%N) -lt $until ] || exit 0
		dd "if=${pair%%|*}" iflag=nocache count=0 status=none
		cmp "${pair%%|*}" "${pair#*|}" || exit 1
		stat -c 'whole %s' "${pair#*|}"
	done
done`
	until := fmt.Sprint(time.Now().Add(span).UnixNano())
	var readers []*process
	for i := range 4 {
		argv := []string{"sh", "-c", rounds, "sh", until}
		for k := range all {
			to := all[(k+i*2)%len(all)] // each begins elsewhere
			argv = append(argv, to.shown(m)+"|"+to.content)
		}
		if i >= 2 {
			argv = append(argv[:5], long.shown(m)+"|"+long.content)
			time.Sleep(span / 16)
		}
		readers = append(readers, start(t, fmt.Sprint("reader-", i), argv...))
	}
	read := int64(0)
	for _, r := range readers {
		if code := r.exits(2*span + time.Minute); code != 0 {
			t.Errorf("a reader ended with %d", code)
		}
		for line := range strings.Lines(r.printed()) {
			var n int64
			if _, err := fmt.Sscanf(line, "whole %d", &n); err == nil {
				read += n
			}
		}
	}
	m.stop(5 * time.Second)
	t.Logf("%d MiB were read, %d MiB of them fetched; %d KiB were stored at most, %d KiB are allowed",
		read>>20, seeder.sent.Load()>>20, most.Load()>>10, disk>>10)
	if most.Load() < disk/2 {
		t.Errorf("no more than %d KiB were ever stored", most.Load()>>10)
	}
	if strings.Contains(m.printed(), "level=WARN") || strings.Contains(m.printed(), "level=ERROR") {
		t.Error("there were warnings")
	}
}

// watchStore looks at what the data files of a data folder take, until the end of the
// test, and fails it if that is more than allowed. most is the most that it was.
func watchStore(t testing.TB, data string, allowed int64) (most *atomic.Int64) {
	most = new(atomic.Int64)
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			// Files that change while others are looked at make a sum that never was:
			// what is true is true several times in a row.
			least := stored(data)
			for range 9 {
				if least <= allowed && least <= most.Load() {
					break
				}
				least = min(least, stored(data))
			}
			if least > most.Load() {
				most.Store(least)
			}
			if least > allowed {
				t.Errorf("%d KiB are stored, %d KiB are allowed", least>>10, allowed>>10)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		watching.Wait()
	})
	return most
}

// stored is what the data files of a data folder take of the file system.
func stored(data string) (n int64) {
	_ = filepath.WalkDir(filepath.Join(data, "torrents"), func(path string, d fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && filepath.Base(filepath.Dir(path)) == "data" && syscall.Stat(path, &st) == nil {
			n += st.Blocks * 512
		}
		return nil
	})
	return n
}
