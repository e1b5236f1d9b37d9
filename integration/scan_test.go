package integration

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

var scanFilms = flag.Int("scan", 0, "scan so many films of 1 GiB (make scan: 200)")

// A shelf is films of one kind that differ in nothing but their names: its
// seeder keeps one of them.
type shelf struct {
	kind  string
	films []*torrent
	peer  *peer
}

// shelves makes n films of each kind, of about size bytes. Those of mkv and mp4
// have their index at the end; ts has none.
func shelves(t *testing.T, n int, size, pieceLength int64, kinds ...string) (all []*shelf) {
	t.Helper()
	need(t, "ffmpeg", "ffprobe")
	dir := tempDir(t)
	clip := filepath.Join(dir, "clip.mkv")
	run(t, time.Minute, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=4",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=4",
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2400k", "-minrate", "2400k", "-maxrate", "2400k", "-bufsize", "2400k",
		"-x264-params", "nal-hrd=cbr:keyint=50", "-c:a", "aac", "-bitexact", clip)
	for _, kind := range kinds {
		content := filepath.Join(dir, "film00000."+kind)
		run(t, 10*time.Minute, "ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", clip,
			"-c", "copy", "-t", fmt.Sprint(size/315_000), "-bitexact", content)
		parsed, err := metainfo.Create(t.Context(), content, metainfo.CreateOptions{PieceLength: pieceLength})
		if err != nil {
			t.Fatal(err)
		}
		to := &torrent{parsed, content, content + ".torrent"}
		if err := os.WriteFile(to.file, parsed.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		s := &shelf{kind: kind, films: []*torrent{to}}
		for i := 1; i < n; i++ {
			s.films = append(s.films, to.renamed(t, fmt.Sprintf("film%05d.%s", i, kind)))
		}
		s.peer = scripted(t, manner{}, s.films...)
		all = append(all, s)
	}
	return all
}

// renamed is the torrent of the same content under a name of the same length.
func (to *torrent) renamed(t *testing.T, name string) *torrent {
	t.Helper()
	b, err := os.ReadFile(to.file)
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) []byte { return fmt.Appendf(nil, "4:name%d:%s", len(name), name) }
	b = bytes.Replace(b, key(to.Info.Name), key(name), 1)
	parsed, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	made := &torrent{parsed, to.content, filepath.Join(tempDir(t), name+".torrent")}
	if err := os.WriteFile(made.file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return made
}

var bytesRead = regexp.MustCompile(`Statistics: (\d+) bytes read`)

// toolRead runs a program of ffmpeg and is how many bytes it has read.
func toolRead(t *testing.T, argv ...string) (n int64) {
	t.Helper()
	for _, m := range bytesRead.FindAllStringSubmatch(run(t, 2*time.Minute, argv...).err, -1) {
		k, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return n
}

// A tally is what tools have read of some films, and what was fetched for them.
type tally struct{ read, fetched, most int64 }

func (y tally) times() float64 { return float64(y.fetched) / float64(y.read) }

func (y tally) String() string {
	return fmt.Sprintf("read %.1f MB, fetched %.1f MB, %.2f times; of one at most %.1f MiB",
		float64(y.read)/1e6, float64(y.fetched)/1e6, y.times(), float64(y.most)/(1<<20))
}

// scan looks at every film of the shelf as a media server does: what is in it,
// and a picture of it.
func (s *shelf) scan(t *testing.T, m *mount, at string) (y tally) {
	t.Helper()
	picture := filepath.Join(tempDir(t), "picture.jpg")
	for _, to := range s.films {
		before := s.peer.sent.Load()
		film := to.shown(m)
		y.read += toolRead(t, "ffprobe", "-v", "debug", "-probesize", "1G", "-analyzeduration", "200M", film)
		y.read += toolRead(t, "ffmpeg", "-v", "debug", "-y", "-ss", at, "-i", film, "-frames:v", "1", "-f", "image2", picture)
		y.most = max(y.most, s.peer.sent.Load()-before)
	}
	y.fetched = s.peer.sent.Load()
	return y
}

// TestScan: a media server looks at every film of a library. What is fetched is
// little more than what it reads; transport streams it reads for 200 s.
func TestScan(t *testing.T) {
	needFuse(t)
	t.Parallel() // ffmpeg and the mount take turns
	n, size, pieceLength, at := 1, int64(24<<20), int64(256<<10), "40"
	if *scanFilms > 0 {
		n, size, pieceLength, at = max(1, (*scanFilms+2)/3), 1<<30, 1<<20, "600"
	}
	all := shelves(t, n, size, pieceLength, "mkv", "mp4", "ts")
	var o mounting
	for _, s := range all {
		o.flags = append(o.flags, "--peer", s.peer.addr)
		for _, to := range s.films {
			o.sources = append(o.sources, to.file)
		}
	}
	m := mountBipfs(t, o)
	var sum tally
	for _, s := range all {
		begin := time.Now()
		y := s.scan(t, m, at)
		t.Logf("%d %s in %.1f s: %v", n, s.kind, time.Since(begin).Seconds(), y)
		sum = tally{sum.read + y.read, sum.fetched + y.fetched, max(sum.most, y.most)}
		most := int64(24 << 20)
		if *scanFilms == 0 {
			most = 6 << 20
		}
		if s.kind != "ts" && y.most > most {
			t.Errorf("%s: of one film %.1f MiB are fetched, at most %d are allowed", s.kind, float64(y.most)/(1<<20), most>>20)
		}
	}
	t.Logf("all: %v", sum)
	if sum.times() > 1.5 {
		t.Errorf("%.2f times what was read is fetched, at most 1.5 times are allowed", sum.times())
	}
	m.stop(5 * time.Second)
}

// TestLocalOnly: a program that reads everything makes the swarm do nothing;
// others are served, and an idle one as well.
func TestLocalOnly(t *testing.T) {
	needFuse(t)
	need(t, "ionice")
	to := torrentOf(t, smallFile(t), 128<<10)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder), "--local-only", "indexes_everything,b"), sources: []string{to.file}})
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	indexer := filepath.Join(tempDir(t), "indexes_everything")
	run(t, 5*time.Second, "cp", cat, indexer)
	for range 2 {
		if r := try(40*time.Second, indexer, to.shown(m)); r.code <= 0 || !strings.Contains(r.err, "timed out") { // others wait for 60 s
			t.Errorf("what is not here: %v", r)
		}
	}
	if n := seeder.began.Load(); n != 0 {
		t.Errorf("for a program that gets only what is here %d connections were made", n)
	}
	if n := strings.Count(m.printed(), "indexes_everyth"); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
	run(t, 20*time.Second, "ionice", "-c3", "cmp", to.shown(m), to.content)
	run(t, 20*time.Second, indexer, to.shown(m))
	m.stop(5 * time.Second)
}
