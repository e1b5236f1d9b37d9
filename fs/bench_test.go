package fs

import (
	"strings"
	"testing"
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
