package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A tool is a program that people read a folder with, or the film.
type tool struct {
	name string
	film bool
	// read compares what the mount shows with the original.
	read func(t *testing.T, shown, original string)
}

// tools read each from an empty store of its own, so that each waits for the
// swarm.
var tools = []tool{
	{name: "cp", read: command(`cp -r "$1" "$3/copy"; diff -r "$3/copy" "$2"`)},
	{name: "sha256sum", read: command(`cd "$2"; find . -type f -print0 | xargs -0 sha256sum >"$3/sums"; cd "$1"; sha256sum --quiet -c "$3/sums"`)},
	{name: "rsync", read: command(`cp -r "$2" "$3/copy"; test -z "$(rsync -rc --delete --itemize-changes --omit-dir-times "$1/" "$3/copy/")"`)},
	{name: "tar", read: command(`tar -C "$1" -cf - . | tar -C "$3" -xf -; diff -r "$3" "$2"`)},
	{name: "tar -S", read: command(`tar -C "$1" -S -cf - . | tar -C "$3" -xf -; diff -r "$3" "$2"`)},
	{name: "find and du", read: command(`test "$(cd "$1" && find . -type f -size +0 | wc -l)" = "$(cd "$2" && find . -type f -size +0 | wc -l)"; test "$(du -s "$1" | cut -f1)" -gt 1000`)},
	{name: "dd at odd offsets", read: oddOffsets},
	{name: "mmap", read: func(t *testing.T, shown, original string) {
		path, _ := entry(3)
		run(t, readPatience, python, "testdata/maps.py", filepath.Join(shown, path), filepath.Join(original, path))
	}},
	{name: "ffprobe and ffmpeg", film: true, read: plays},
}

// command is a command of the shell; $1: the folder as mounted, $2: the original,
// $3: an empty folder.
func command(line string) func(t *testing.T, shown, original string) {
	return func(t *testing.T, shown, original string) {
		sh(t, readPatience, line, shown, original, tempDir(t))
	}
}

// reads mounts what the tool reads, in one way, and has it read.
func (u tool) reads(t *testing.T, s *swarm, w way, tr *tracker) {
	need(t, "rsync", "tar", "dd", "cmp", "sha256sum", "ffprobe", "ffmpeg")
	to := s.folder
	if u.film {
		to = s.film
	}
	m := mountBipfs(t, s.mounting(t, w, to, tr))
	resolved(t, m, to)
	begin := time.Now()
	u.read(t, to.shown(m), to.content)
	t.Logf("read in %.1f s", time.Since(begin).Seconds())
	m.stop(5 * time.Second)
}

// plays looks at the film as players do, from the middle, then all of it.
func plays(t *testing.T, shown, original string) {
	probe := []string{"ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "csv"}
	want := run(t, readPatience, append(probe, original)...).out
	got := run(t, readPatience, append(probe, shown)...).out
	if got = strings.ReplaceAll(got, shown, original); got != want {
		t.Errorf("ffprobe: got %s, want %s", got, want)
	}
	decode := func(path string) string {
		return run(t, readPatience, "ffmpeg", "-v", "error", "-ss", "20", "-i", path, "-t", "2", "-f", "framemd5", "-").out +
			run(t, readPatience, "ffmpeg", "-v", "error", "-i", path, "-c", "copy", "-f", "framemd5", "-").out
	}
	if decode(shown) != decode(original) {
		t.Error("ffmpeg decodes other frames from the mount")
	}
	same(t, shown, original)
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
	foreign(t)
	t.Parallel()
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
	} else if r.own > 7*time.Second {
		t.Errorf("the first opening waited for %v, at most 5 s are allowed", r.own)
	}
	r := try(20*time.Second, "rsync", "-a", "--delete", m.path("unknown")+"/", backup+"/")
	if r.code <= 0 {
		t.Errorf("rsync --delete of an unresolved magnet: %v", r)
	}
	if r.own > 2*time.Second {
		t.Errorf("a later opening waited %v, it was to fail at once", r.own)
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
