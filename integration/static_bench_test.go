package integration

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// staticServer is the test binary of fs, which serves go-fuse's own tree of nodes
// in memory: what a mount costs that has nothing to do but to answer.
var staticServer = sync.OnceValues(func() (string, error) {
	path := filepath.Join(base, "fs.test")
	out, err := exec.Command("go", "test", "-c", "-o", path, "bipfs/fs").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

// static mounts such a tree, with a file `big` and folders of 1000 files.
func static(t testing.TB, files int, big int64) *mount {
	t.Helper()
	needRoot(t)
	server, err := staticServer()
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	cmd := exec.Command(server)
	cmd.Env = append(os.Environ(), "BIPFS_FS_TEST_STATIC="+dir,
		fmt.Sprint("BIPFS_FS_TEST_STATIC_FILES=", files), fmt.Sprint("BIPFS_FS_TEST_STATIC_BYTES=", big))
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m := &mount{process: startCommand(t, "static", cmd), dir: dir}
	t.Cleanup(func() {
		stop.Close()
		m.exits(10 * time.Second)
	})
	m.prints("mounted "+dir+"\n", 10*time.Second)
	return m
}

// manyFiles is the metainfo of a torrent of so many files that nobody has, in
// folders of 1000.
func manyFiles(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(tempDir(t), "many.torrent")
	unheld{name: fmt.Sprintf("many %d", n), files: n, perFolder: 1000, each: 1000, pieceLength: 256 << 10}.write(t, path)
	return path
}

// unheld is a torrent that nobody has: files of each bytes, in folders.
type unheld struct {
	name                                string
	files, perFolder, each, pieceLength int
}

// write writes its metainfo.
func (u unheld) write(t testing.TB, path string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("d4:infod5:filesl")
	for i := range u.files {
		folder, name := fmt.Sprintf("folder %03d", i/u.perFolder), fmt.Sprintf("file %06d.dat", i)
		fmt.Fprintf(&b, "d6:lengthi%de4:pathl%d:%s%d:%see", u.each, len(folder), folder, len(name), name)
	}
	pieces := (u.files*u.each + u.pieceLength - 1) / u.pieceLength
	fmt.Fprintf(&b, "e4:name%d:%s12:piece lengthi%de6:pieces%d:", len(u.name), u.name, u.pieceLength, pieces*sha1.Size)
	for i := range pieces {
		sum := sha1.Sum(strconv.AppendInt(nil, int64(i), 10))
		b.Write(sum[:])
	}
	b.WriteString("ee")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkListing lists 20,000 and 100,000 files by find and by ls -lR: the first
// time of each mount and once more, in turns with the static tree.
func BenchmarkListing(b *testing.B) {
	for _, n := range []int{20_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			torrent := manyFiles(b, n)
			took := map[string][]float64{}
			for range b.N {
				for _, whose := range []string{"ours", "static"} {
					for _, tool := range []string{`find "$1" -type f`, `ls -lR "$1"`} {
						var m *mount
						if whose == "ours" {
							m = mountBipfs(b, mounting{sources: []string{torrent}})
						} else {
							m = static(b, n, 0)
						}
						for _, round := range []string{"first", "again"} {
							r := sh(b, time.Minute, tool+" | wc -l", m.dir)
							if got, _ := strconv.Atoi(strings.TrimSpace(r.out)); got < n {
								b.Fatalf("%d files are listed: %v", got, r)
							}
							key := whose + "-" + tool[:2] + "-" + round
							took[key] = append(took[key], r.took.Seconds())
						}
						took[whose+"-RSS"] = append(took[whose+"-RSS"], float64(m.status("VmRSS"))/1e6)
						if whose == "ours" {
							m.stop(10 * time.Second)
						}
					}
				}
			}
			for key, all := range took {
				b.ReportMetric(median(all), key)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkReread reads 64 MiB again from memory, without passthrough and with the
// kernel's pages dropped, in turns with go-fuse's static file of the same length.
func BenchmarkReread(b *testing.B) {
	const size = 64 << 20
	to := torrentOf(b, file(b, "reread.bin", size), 1<<20)
	seeder := scripted(b, manner{}, to)
	user := ordinary(b, "nobody") // to whom the kernel refuses passthrough
	openFuse(b)
	ours := mountBipfs(b, mounting{
		dir: user.owns(b), data: filepath.Join(user.owns(b), "data"), prefix: user.prefix(), flags: peerFlags(seeder), sources: []string{to.file},
	})
	theirs := static(b, 0, size)
	run(b, time.Minute, append(user.prefix(), "cmp", to.shown(ours), to.content)...)
	for _, m := range []*mount{ours, theirs} {
		device := strings.TrimSpace(run(b, 5*time.Second, append(map[*mount][]string{ours: user.prefix()}[m], "mountpoint", "-d", m.dir)...).out)
		if err := os.WriteFile("/sys/class/bdi/"+device+"/read_ahead_kb", []byte("1024"), 0); err != nil {
			b.Fatal(err)
		}
	}
	again := func(m *mount, path string, prefix []string) (speed, cpu float64) {
		const times = 8
		before, sent := processor(b, m.pid()), wrote(b, m.process)
		r := run(b, time.Minute, append(prefix, "sh", "-euc", `for i in 1 2 3 4 5 6 7 8; do
			dd if="$1" iflag=nocache count=0 status=none; dd if="$1" of=/dev/null bs=128k status=none; done`, "sh", path)...)
		if n := wrote(b, m.process) - sent; n < times*size {
			b.Fatalf("only %d bytes came from %s", n, m.name)
		}
		return times * size / 1e6 / r.took.Seconds(), (processor(b, m.pid()) - before).Seconds()
	}
	var our, their, ourCPU, theirCPU []float64
	for range b.N {
		speed, cpu := again(ours, to.shown(ours), user.prefix())
		our, ourCPU = append(our, speed), append(ourCPU, cpu)
		speed, cpu = again(theirs, theirs.path("big"), nil)
		their, theirCPU = append(their, speed), append(theirCPU, cpu)
	}
	b.ReportMetric(median(our), "ours-MB/s")
	b.ReportMetric(median(ourCPU), "ours-cpu-s")
	b.ReportMetric(median(their), "static-MB/s")
	b.ReportMetric(median(theirCPU), "static-cpu-s")
	b.ReportMetric(0, "ns/op")
}
