package fs

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// BenchmarkCat reads 1 GiB through the mount, by 128 KiB as cat(1) does, from a
// page cache that does not have it.
func BenchmarkCat(b *testing.B) {
	for _, c := range []struct{ name, flags string }{{"buffered", ""}, {"direct", "iflag=direct"}} {
		b.Run(c.name, func(b *testing.B) {
			m := mount(b, b.TempDir(), Options{})
			b.SetBytes(1 << 30)
			for b.Loop() {
				script := `dd if="$1"/big of=/dev/null bs=128k `
				if c.flags != "" {
					script = `dd if="$1"/big of=/dev/null bs=1M ` + c.flags
				}
				out := run(b, script+" 2>&1", m.dir)
				if !strings.Contains(out, "1073741824 bytes") {
					b.Fatal(out)
				}
				b.StopTimer()
				dropPages(b, m.path("big"))
				b.StartTimer()
			}
		})
	}
}

// dropPages asks the kernel to forget what it has read of a file.
func dropPages(b *testing.B, path string) {
	run(b, `dd if="$1" iflag=nocache count=0 status=none`, path)
}

// BenchmarkList lists 20,000 files: the first time of each mount, and again.
func BenchmarkList(b *testing.B) {
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			m := mount(b, b.TempDir(), Options{})
			b.StartTimer()
			run(b, `ls -lR "$1" >/dev/null`, m.path("n20000"))
			b.StopTimer()
			m.end()
			b.StartTimer()
		}
	})
	b.Run("again", func(b *testing.B) {
		m := mount(b, b.TempDir(), Options{})
		for b.Loop() {
			run(b, `ls -lR "$1" >/dev/null`, m.path("n20000"))
		}
	})
}

// pushed is how many bytes of big BenchmarkPush puts into the page cache.
const pushed = 256 << 20

// storePages puts them there by itself, in notices of so many bytes (NOTIFY_STORE).
func storePages(s *Server, unit string) string {
	raw := s.notices.to.(*fuse.Server)
	n, err := strconv.Atoi(unit)
	if err != nil {
		return err.Error()
	}
	off := int64(0)
	for _, b := range contentSlices(11, 0, pushed, n) {
		if st := raw.InodeNotifyStoreCache(11, off, b); st != fuse.OK {
			return st.String()
		}
		off += int64(len(b))
	}
	return "ok"
}

// processor is the time of a processor that this process has taken, in ns.
func processor() string {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err.Error()
	}
	return strconv.FormatInt(u.Utime.Nano()+u.Stime.Nano(), 10)
}

// BenchmarkPush reads 256 MiB whose pages the kernel has to ask for, with the
// kernel's own read-ahead and with ours, and in turns with that pages that were
// pushed before, by the block and by the MiB. The processor's time is that of both
// processes; the wall clock's for pushing and reading one after the other.
func BenchmarkPush(b *testing.B) {
	m := mount(b, b.TempDir(), Options{})
	device := run(b, `mountpoint -d "$1"`, m.dir)
	for _, c := range []struct {
		name, ahead, unit string
	}{{"asked-128KiB", "128", ""}, {"asked-1MiB", "1024", ""}, {"pushed-16KiB", "1024", "16384"}, {"pushed-1MiB", "1024", "1048576"}} {
		b.Run(c.name, func(b *testing.B) {
			run(b, `echo "$1" > /sys/class/bdi/"$2"/read_ahead_kb; head -c 1 "$3" >/dev/null`, c.ahead, device, m.path("big"))
			b.SetBytes(pushed)
			cpu := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				dropPages(b, m.path("big"))
				before, asked := m.took(), m.ask("reads")
				b.StartTimer()
				if c.unit != "" {
					if said := m.ask("store " + c.unit); said != "ok" {
						b.Fatal(said)
					}
				}
				out := run(b, `bash -c 'TIMEFORMAT="%U %S"; time dd if="$1" of=/dev/null bs=128k count=2048 status=none' bash "$1"`, m.path("big"))
				b.StopTimer()
				var user, system float64
				fmt.Sscan(out, &user, &system)
				cpu += m.took() - before + time.Duration((user+system)*1e9)
				if c.unit != "" && m.ask("reads") != asked {
					b.Logf("reads: %s, before %s", m.ask("reads"), asked)
				}
				b.StartTimer()
			}
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// took is the processor's time of the child.
func (m *mounted) took() time.Duration {
	n, err := strconv.ParseInt(m.ask("processor"), 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return time.Duration(n)
}
