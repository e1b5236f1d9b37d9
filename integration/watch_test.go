package integration

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// longEnough bounds a wait on a busy machine for what is sure to come.
const longEnough = time.Minute

// A watch measures what a user waits for. The time for which the machine had no
// processor or no disk for who could go on does not count: it says nothing of
// the program. On a quiet machine that is next to nothing.
type watch struct {
	begin   time.Time
	stalled time.Duration
}

func startWatch() watch { return watch{time.Now(), stalled()} }

// hindered is for how long the machine was busy with others, at most.
func (w watch) hindered() time.Duration { return stalled() - w.stalled }

// took is the time since the start, without that.
func (w watch) took() time.Duration { return max(0, time.Since(w.begin)-w.hindered()) }

// over tells whether more than within was taken, or so much that it is a hang.
func (w watch) over(within time.Duration) bool {
	all := time.Since(w.begin)
	return all > within+longEnough || all > within && w.took() > within
}

// stalled is for how long since the machine's start something had to wait for a
// processor or a disk, or the machine for its host; 0 where the kernel does not
// tell. The kernel gives the mean of all processors, of which one is enough to
// hold us up.
func stalled() (d time.Duration) {
	for _, resource := range []string{"cpu", "io"} {
		b, _ := os.ReadFile("/proc/pressure/" + resource)
		var us int64
		if _, total, ok := bytes.Cut(b, []byte("total=")); ok {
			fmt.Sscan(string(total), &us)
		}
		d += time.Duration(us) * time.Microsecond
	}
	b, _ := os.ReadFile("/proc/stat")
	var ticks [8]int64 // user nice system idle iowait irq softirq steal, of 10 ms
	fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7])
	return d*time.Duration(runtime.NumCPU()) + time.Duration(ticks[7])*10*time.Millisecond
}

// TestWatch: rest counts, a machine without a free processor does not.
func TestWatch(t *testing.T) {
	w := watch{time.Now().Add(-10 * time.Second), stalled()}
	if took := w.took(); took > 10*time.Second+w.hindered()+time.Second || !w.over(time.Second) && w.hindered() < time.Second || w.over(longEnough) {
		t.Errorf("of 10 s it took %v", took)
	}
	w.stalled -= 9 * time.Second
	if took := w.took(); took > 2*time.Second && w.hindered() < 10*time.Second || w.over(5*time.Second) {
		t.Errorf("of 10 s, 9 of them hindered, it took %v", took)
	}
	if w.begin = w.begin.Add(-longEnough); !w.over(5 * time.Second) {
		t.Error("a hang is none")
	}
}
