package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTools reads a folder of 300 files and a film with the tools that people
// use, each on its own mount of an empty store, so that each waits for the
// swarm.
func TestTools(t *testing.T) {
	long(t)
	need(t, "rsync", "tar", "dd", "cmp", "sha256sum")
	dir := folder(t)
	movie := film(t)
	folderTorrent, movieTorrent := torrentOf(t, dir, 256<<10), torrentOf(t, movie, 64<<10)
	seeder := libtorrent(t, place{address: "127.0.0.2"}, contentDir(), folderTorrent, movieTorrent)
	fresh := func(t *testing.T) *mount {
		return mountBipfs(t, mounting{flags: []string{"--peer", seeder.addr}, sources: []string{folderTorrent.file, movieTorrent.file}})
	}
	lines := []struct{ name, line string }{ // $1: the folder as mounted, $2: the original, $3: an empty folder
		{"cp", `cp -r "$1" "$3/copy"; diff -r "$3/copy" "$2"`},
		{"sha256sum", `cd "$2"; find . -type f -print0 | xargs -0 sha256sum >"$3/sums"; cd "$1"; sha256sum --quiet -c "$3/sums"`},
		{"rsync", `cp -r "$2" "$3/copy"; test -z "$(rsync -rc --delete --itemize-changes --omit-dir-times "$1/" "$3/copy/")"`},
		{"tar", `tar -C "$1" -cf - . | tar -C "$3" -xf -; diff -r "$3" "$2"`},
		{"tar -S", `tar -C "$1" -S -cf - . | tar -C "$3" -xf -; diff -r "$3" "$2"`},
		{"find and du", `test "$(cd "$1" && find . -type f -size +0 | wc -l)" = "$(cd "$2" && find . -type f -size +0 | wc -l)"; test "$(du -s "$1" | cut -f1)" -gt 1000`},
	}
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			m := fresh(t)
			sh(t, readPatience, l.line, folderTorrent.shown(m), dir, tempDir(t))
			m.stop(5 * time.Second)
		})
	}
	t.Run("dd at odd offsets", func(t *testing.T) { oddOffsets(t, folderTorrent.shown(fresh(t)), dir) })
	t.Run("mmap", func(t *testing.T) {
		path, _ := entry(3)
		run(t, readPatience, python, "testdata/maps.py", filepath.Join(folderTorrent.shown(fresh(t)), path), filepath.Join(dir, path))
	})
	t.Run("ffprobe and ffmpeg", func(t *testing.T) {
		shown := movieTorrent.shown(fresh(t))
		probe := []string{"ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "csv"}
		want := run(t, readPatience, append(probe, movie)...).out
		got := run(t, readPatience, append(probe, shown)...).out
		if got = strings.ReplaceAll(got, shown, movie); got != want {
			t.Errorf("ffprobe: got %s, want %s", got, want)
		}
		decode := func(path string) string { // from the middle, as players jump, then all of it
			return run(t, readPatience, "ffmpeg", "-v", "error", "-ss", "20", "-i", path, "-t", "2", "-f", "framemd5", "-").out +
				run(t, readPatience, "ffmpeg", "-v", "error", "-i", path, "-c", "copy", "-f", "framemd5", "-").out
		}
		if decode(shown) != decode(movie) {
			t.Error("ffmpeg decodes other frames from the mount")
		}
		same(t, shown, movie)
	})
}

// oddOffsets reads runs of bytes that begin and end where nothing else does.
func oddOffsets(t *testing.T, shown, dir string) {
	path, size := entry(3)
	for i, block := range []int64{1, 511, 4097, 65537, 1_000_003} {
		for _, skip := range []int64{0, 1, 7, size/block - 1, size / block} {
			args := fmt.Sprintf(`dd if="$1" bs=%d skip=%d count=3 status=none | sha256sum`, block, skip)
			got := sh(t, readPatience, args, filepath.Join(shown, path)).out
			want := sh(t, readPatience, args, filepath.Join(dir, path)).out
			if got != want {
				t.Errorf("%d: 3 blocks of %d bytes from block %d: other bytes than in the original", i, block, skip)
			}
		}
	}
}

// TestSeekHoles: what has not come yet is no hole, or tar -S and cp --sparse
// would make zeros of it.
func TestSeekHoles(t *testing.T) {
	to := madeUp(t, "absent.bin", 64<<20, 1<<20, "")
	m := mountBipfs(t, mounting{sources: []string{to.file}})
	got := run(t, 20*time.Second, python, "-c", `
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
st = os.fstat(fd)
print(os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_HOLE), st.st_size, st.st_blocks > 0)`, to.shown(m)).out
	if want := fmt.Sprintln(0, 64<<20, 64<<20, "True"); got != want {
		t.Errorf("data, hole, size, blocks: got %q, want %q", got, want)
	}
	m.stop(300 * time.Millisecond)
}

// TestUnresolvedMagnet: a folder whose content is not known yet is never taken
// for an empty one.
func TestUnresolvedMagnet(t *testing.T) {
	need(t, "rsync")
	to := madeUp(t, "unknown", 1<<20, 1<<18, "")
	m := mountBipfs(t, mounting{sources: []string{to.magnet(nil, nil)}})
	if got := run(t, 5*time.Second, "ls", m.dir).out; got != "unknown\n" {
		t.Errorf("the root lists %q", got)
	}
	backup := tempDir(t)
	if err := os.WriteFile(filepath.Join(backup, "precious"), []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := try(20*time.Second, "cp", "-r", m.path("unknown"), filepath.Join(tempDir(t), "copy")); r.code <= 0 {
		t.Errorf("cp -r of an unresolved magnet: %v", r)
	} else if r.took > 7*time.Second {
		t.Errorf("the first opening waited for %v, at most 5 s are allowed", r.took)
	}
	r := try(20*time.Second, "rsync", "-a", "--delete", m.path("unknown")+"/", backup+"/")
	if r.code <= 0 {
		t.Errorf("rsync --delete of an unresolved magnet: %v", r)
	}
	if r.took > 2*time.Second {
		t.Errorf("a later opening waited %v, it was to fail at once", r.took)
	}
	if _, err := os.Stat(filepath.Join(backup, "precious")); err != nil {
		t.Errorf("rsync --delete of an unresolved magnet has deleted: %v", err)
	}
	if r := try(5*time.Second, "ls", m.path("unknown")); r.code <= 0 || !strings.Contains(r.err, "No data available") {
		t.Errorf("ls of an unresolved magnet: %v", r)
	}
	m.stop(300 * time.Millisecond)
}

// TestReadOnly: nothing in a mount can be changed, by root least of all.
func TestReadOnly(t *testing.T) {
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{flags: peerFlags(seeder), sources: []string{to.file}})
	for _, line := range []string{`echo x >"$1"`, `echo x >>"$1"`, `rm -f "$1"`, `mv "$1" "$1.new"`, `chmod 600 "$1"`,
		`touch "$1"`, `truncate -s 0 "$1"`, `ln "$1" "$1.link"`, `mkdir "$1.dir"`, `ln -s a "$2/link"`, `mkdir "$2/dir"`, `rmdir "$2"/*`} {
		if r := try(5*time.Second, "sh", "-c", line, "sh", to.shown(m), m.dir); r.code <= 0 || !strings.Contains(r.err, "Read-only") && !strings.Contains(r.err, "denied") {
			t.Errorf("%s: %v", line, r)
		}
	}
	same(t, to.shown(m), to.content)
	m.stop(5 * time.Second)
}
