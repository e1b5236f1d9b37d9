package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// advise asks for a file by posix_fadvise(WILLNEED) or readahead(2), 128 KiB at a time,
// and reads nothing. It stays: what a program that has gone waits for is fetched no more.
const advise = `
import ctypes, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
for off in range(0, os.fstat(fd).st_size, 128 << 10):
    if sys.argv[2] == "fadvise":
        os.posix_fadvise(fd, off, 128 << 10, os.POSIX_FADV_WILLNEED)
    elif ctypes.CDLL(None).readahead(fd, ctypes.c_int64(off), ctypes.c_size_t(128 << 10)) != 0:
        sys.exit("readahead")
print("advised", flush=True)
if sys.argv[3:]:
    time.sleep(600)
`

// TestAdvice: what a program says that it will need is fetched, though nobody reads it;
// and of a torrent without peers the program that says so waits for nothing, nor does
// anybody else.
func TestAdvice(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	for _, how := range []string{"fadvise", "readahead"} {
		c := torrentOf(t, file(t, "advice "+how+".bin", 2_000_000), 32<<10)
		m, command := controlled(t, "--peer", engineSeeder(t, c), "--seed-ratio", "0")
		if r := command("add", c.file); r.code != 0 {
			t.Fatal(r)
		}
		p := start(t, how, "python3", "-c", advise, c.shown(m), how, "and stay")
		eventually(t, 20*time.Second, how+" fetches all", func() bool {
			return strings.Contains(command("status", c.hash()).out, "100 %")
		})
		p.kill()
		same(t, c.shown(m), c.content)
	}

	dead, live := torrentOf(t, file(t, "advice dead.bin", 4_000_000), 32<<10), torrentOf(t, file(t, "advice live.bin", 500_000), 32<<10)
	m, command := controlled(t, "--peer", engineSeeder(t, live), "--seed-ratio", "0")
	for _, to := range []*torrent{dead, live} {
		if r := command("add", to.file); r.code != 0 {
			t.Fatal(r)
		}
	}
	for i := range 4 {
		r := run(t, 20*time.Second, "timeout", "20", "python3", "-c", advise, dead.shown(m), []string{"fadvise", "readahead"}[i%2])
		if r.own > 10*time.Second {
			t.Error(fmt.Sprint("who says what it will need waits: ", r))
		}
	}
	same(t, live.shown(m), live.content)
	m.stop(5 * time.Second)
}
