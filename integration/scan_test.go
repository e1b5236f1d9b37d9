package integration

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

var scanFilms = flag.Int("scan", 0, "scan so many films of 1 GiB (make scan: 200)")

// A library is films that differ in nothing but their names: the seeders keep
// one of each kind.
type library struct {
	kinds []string
	films [][]*torrent // by kind
	peers []*peer      // by kind
}

// films makes n films of each kind. An index at the end is what their kinds
// have in common, but for ts, which has none.
func films(t *testing.T, n int, size int64, kinds ...string) *library {
	t.Helper()
	need(t, "ffmpeg", "ffprobe")
	dir := tempDir(t)
	clip := filepath.Join(dir, "clip.mkv")
	run(t, time.Minute, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=8",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=8",
		"-c:v", "libx264", "-preset", "ultrafast", "-b:v", "2400k", "-minrate", "2400k", "-maxrate", "2400k", "-bufsize", "2400k",
		"-x264-params", "nal-hrd=cbr:keyint=50", "-c:a", "aac", "-bitexact", clip)
	l := &library{kinds: kinds}
	for _, kind := range kinds {
		content := filepath.Join(dir, "film00000."+kind)
		run(t, 10*time.Minute, "ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", clip,
			"-c", "copy", "-t", fmt.Sprint(size/315_000), "-bitexact", content)
		to := torrentOf(t, content, 256<<10)
		made := []*torrent{to}
		for i := 1; i < n; i++ {
			made = append(made, to.renamed(t, fmt.Sprintf("film%05d.%s", i, kind)))
		}
		l.films = append(l.films, made)
		l.peers = append(l.peers, scripted(t, manner{}, made...))
	}
	return l
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

// TestScan: a media server looks at every film of a library. What is fetched is
// little more than what it reads.
func TestScan(t *testing.T) {
	needFuse(t)
	t.Parallel()
	n, size := 2, int64(64<<20)
	if *scanFilms > 0 {
		n, size = max(1, *scanFilms/3), 1<<30
	}
	l := films(t, n, size, "mkv", "mp4", "ts")
	var o mounting
	for k, made := range l.films {
		o.flags = append(o.flags, "--peer", l.peers[k].addr)
		for _, to := range made {
			o.sources = append(o.sources, to.file)
		}
	}
	m := mountBipfs(t, o)
	if kb := os.Getenv("RA"); kb != "" {
		id := regexp.MustCompile(`\d+:\d+`).FindString(run(t, 5*time.Second, "mountpoint", "-d", m.dir).out)
		if err := os.WriteFile("/sys/class/bdi/"+id+"/read_ahead_kb", []byte(kb), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	var all, allRead int64
	for k, made := range l.films {
		var fetched, read, most int64
		for _, to := range made {
			before := l.peers[k].sent.Load()
			film := to.shown(m)
			read += toolRead(t, "ffprobe", "-v", "debug", "-probesize", "1G", "-analyzeduration", "200M", film)
			read += toolRead(t, "ffmpeg", "-v", "debug", "-y", "-ss", "60", "-i", film, "-frames:v", "1", "-f", "image2", filepath.Join(tempDir(t), "thumbnail.jpg"))
			most = max(most, l.peers[k].sent.Load()-before)
		}
		fetched = l.peers[k].sent.Load()
		all, allRead = all+fetched, allRead+read
		t.Logf("%d %s: read %.1f MB, fetched %.1f MB, %.2f times; of one at most %.1f MiB", len(made), l.kinds[k],
			float64(read)/1e6, float64(fetched)/1e6, float64(fetched)/float64(read), float64(most)/(1<<20))
	}
	t.Logf("all in %v: read %.1f MB, fetched %.1f MB, %.2f times", time.Since(begin), float64(allRead)/1e6, float64(all)/1e6, float64(all)/float64(allRead))
	m.stop(5 * time.Second)
}
