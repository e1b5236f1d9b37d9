package integration

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bipfs/engine/metainfo"
	"bipfs/wire"
	"bipfs/wire/bencode"
)

// All content comes from this seed: a run that fails can be looked at again.
const contentSeed = "bipfs integration content, seed 1"

// contentDir is the folder that all shared content lies in, made when first
// needed.
var contentDir = sync.OnceValue(func() string {
	dir := filepath.Join(base, "content")
	if err := os.Mkdir(dir, 0o755); err != nil {
		panic(err)
	}
	return dir
})

// random is an endless stream that depends on its name only.
func random(name string) io.Reader {
	var seed [32]byte
	copy(seed[:], contentSeed)
	for i := range name {
		seed[i%32] = seed[i%32]*31 + name[i]
	}
	return rand.NewChaCha8(seed)
}

var contentLock sync.Mutex // while shared content is made

// file makes a file of random bytes among the shared content.
func file(t testing.TB, name string, size int64) string {
	t.Helper()
	path := filepath.Join(contentDir(), name)
	contentLock.Lock()
	defer contentLock.Unlock()
	if st, err := os.Stat(path); err == nil && st.Size() == size {
		return path
	}
	if err := writeFile(path, name, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(path, seed string, size int64) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, random(seed), size); err != nil {
		return err
	}
	return w.Flush()
}

// bigSize is more than bipfs keeps in memory; make soak: 700 MiB.
func bigSize() int64 {
	if *soak {
		return 700 << 20
	}
	return 300 << 20
}

// bigFile is the single large file.
func bigFile(t testing.TB) string { return file(t, "big.bin", bigSize()) }

// smallFile is for what is shown once for each way that there is.
func smallFile(t testing.TB) string { return file(t, "small.bin", 8<<20+4321) }

// folder is 300 files: nested, empty, with names from all over Unicode and as
// long as names can be, of 1 byte to 40 MiB.
func folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(contentDir(), "folder")
	contentLock.Lock()
	defer contentLock.Unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	making := dir + ".new"
	for i := range 300 {
		path, size := entry(i)
		if err := writeFile(filepath.Join(making, path), path, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(making, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// entry is file i of the folder.
func entry(i int) (path string, size int64) {
	dirs := []string{"", "docs", "docs/deep/er/and/deeper", "mit Leerzeichen", "音楽/アルバム", "zażółć", "emoji 🎬"}
	dir := dirs[i%len(dirs)]
	name := fmt.Sprintf("file %03d.dat", i)
	switch {
	case i%50 == 7:
		name = strings.Repeat("n", 255-len("000.txt")) + fmt.Sprintf("%03d.txt", i)
	case i%50 == 11: // 3 bytes a rune
		name = strings.Repeat("界", 83) + fmt.Sprintf("%03d.ab", i)
	case i%50 == 13:
		name = fmt.Sprintf("-rf '$(%d)`;&.txt", i)
	case i%50 == 17:
		name = fmt.Sprintf(".hidden%d", i)
	case i%50 == 19:
		name = fmt.Sprintf("é combining é %d", i)
	}
	switch {
	case i == 3:
		size = 40 << 20
	case i%20 == 5:
		size = 0
	case i == 6:
		size = 1
	case i%30 == 8:
		size = 5<<20 + int64(i)*997
	default:
		size = int64(i*i*i)%300_000 + 1
	}
	return filepath.Join(dir, name), size
}

// film is a generated film whose index is at its end, as programs write it that
// do not know its length in advance.
func film(t testing.TB) string {
	t.Helper()
	need(t, "ffmpeg", "ffprobe")
	path := filepath.Join(contentDir(), "film.mp4")
	contentLock.Lock()
	defer contentLock.Unlock()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	run(t, time.Minute, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=40,noise=alls=20:allf=t",
		"-f", "lavfi", "-i", "sine=frequency=440:duration=40",
		"-c:v", "mpeg4", "-q:v", "4", "-c:a", "aac", "-bitexact", "-f", "mp4", path)
	return path
}

// torrents are made once for each content and piece length.
var (
	torrents     sync.Map
	torrentsLock sync.Mutex // while one is made
)

// A torrent is one that the tests made.
type torrent struct {
	*metainfo.Torrent
	content string // the file or folder
	file    string // the .torrent
}

// torrentOf is the torrent of a content. Different piece lengths make different
// torrents, so different swarms, of one content.
func torrentOf(t testing.TB, content string, pieceLength int64) *torrent {
	t.Helper()
	key := fmt.Sprint(filepath.Base(content), "-", pieceLength)
	torrentsLock.Lock()
	defer torrentsLock.Unlock()
	if made, ok := torrents.Load(key); ok {
		return made.(*torrent)
	}
	made, err := metainfo.Create(context.Background(), content, metainfo.CreateOptions{PieceLength: pieceLength})
	if err != nil {
		t.Fatal(err)
	}
	to := &torrent{made, content, filepath.Join(contentDir(), key+".torrent")}
	if err := os.WriteFile(to.file, made.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	torrents.Store(key, to)
	return to
}

// madeBy is the torrent of a content as another program makes it.
func madeBy(t testing.TB, program, content string, pieceLength int64) *torrent {
	t.Helper()
	file := filepath.Join(tempDir(t), program+".torrent")
	switch program {
	case "mktorrent":
		need(t, "mktorrent")
		power := 0
		for 1<<power < pieceLength {
			power++
		}
		run(t, time.Minute, "mktorrent", "-l", fmt.Sprint(power), "-o", file, content)
	case "bipfs":
		run(t, time.Minute, bipfs, "create", "--piece-length", fmt.Sprint(pieceLength), "-o", file, content)
	default:
		t.Fatalf("no program %q", program)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := metainfo.Parse(b)
	if err != nil {
		t.Fatalf("the torrent of %s: %v", program, err)
	}
	return &torrent{parsed, content, file}
}

// tracked is the torrent with trackers.
func (to *torrent) tracked(t testing.TB, urls ...string) *torrent {
	t.Helper()
	c := *to.Torrent
	c.Trackers = nil
	for _, url := range urls {
		c.Trackers = append(c.Trackers, []string{url})
	}
	file := filepath.Join(tempDir(t), filepath.Base(to.file))
	if err := os.WriteFile(file, c.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	return &torrent{&c, to.content, file}
}

// magnet is the torrent's magnet link.
func (to *torrent) magnet(trackers, peers []string) string {
	m := metainfo.Magnet{Hash: to.Info.Hash, V2: to.Info.V2, Name: to.Info.Name, Trackers: trackers, Peers: peers}
	return m.String()
}

// linked is the torrent as those know it who have a magnet link only.
func (to *torrent) linked(trackers ...string) *torrent {
	return &torrent{to.Torrent, to.content, to.magnet(trackers, nil)}
}

// hash is the infohash in hex.
func (to *torrent) hash() string { return hex.EncodeToString(to.Info.Hash[:]) }

// shown is where the content is shown in a mount.
func (to *torrent) shown(m *mount) string {
	if to.Info.Single {
		return m.path(to.Info.Name, to.Info.Name)
	}
	return m.path(to.Info.Name)
}

// madeUp is a torrent of a file that nobody has.
func madeUp(t testing.TB, name string, length, pieceLength int64, tracker string) *torrent {
	t.Helper()
	pieces := make([]byte, 20*wire.Geometry{Length: length, PieceLength: pieceLength}.Pieces())
	if _, err := io.ReadFull(random(name), pieces); err != nil {
		t.Fatal(err)
	}
	type info struct {
		Length      int64  `bencode:"length"`
		Name        string `bencode:"name"`
		PieceLength int64  `bencode:"piece length"`
		Pieces      []byte `bencode:"pieces"`
	}
	type metafile struct {
		Announce string `bencode:"announce,omitempty"`
		Info     info   `bencode:"info"`
	}
	b, err := bencode.Encode(metafile{tracker, info{length, name, pieceLength, pieces}})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := metainfo.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tempDir(t), name+".torrent")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return &torrent{parsed, "", file}
}
