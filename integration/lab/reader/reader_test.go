package reader

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// files makes an original and a copy, of which one byte may be wrong.
func files(t *testing.T, size, wrong int) (original, path string) {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * i >> 9)
	}
	original, path = filepath.Join(t.TempDir(), "original"), filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(original, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong >= 0 {
		b[wrong]++
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return original, path
}

// done is a job in false time: no machine is too slow to read what it should.
func done(t *testing.T, j Job) (r Result) {
	synctest.Test(t, func(*testing.T) { r = j.do() })
	return r
}

// TestCompares: each kind of work finds the wrong byte that it has read, and reads
// what it should.
func TestCompares(t *testing.T) {
	const size = 1<<20 + 77
	for _, c := range []struct {
		job   Job
		bytes int64
		wrong int // a byte that it reads
	}{
		{Job{Work: Cat}, size, size - 1},
		{Job{Work: Cat, Offset: 1000, Length: 2000, Drop: true}, 2000, 2999},
		{Job{Work: First, Size: 4096}, 4096, 4095},
		{Job{Work: Random, Size: 100, Places: []int64{500, 9000}}, 200, 9099},
		{Job{Work: Play, Rate: 1 << 20, Every: 500 * time.Millisecond, Places: []int64{0, 1 << 18}}, 1 << 20, 1<<18 + 5},
		{Job{Work: Many, Every: 20 * time.Millisecond, Places: []int64{0, 1 << 19}}, 0, 1<<19 + 1},
	} {
		j := c.job
		j.Original, j.Path = files(t, size, -1)
		r := done(t, j)
		if r.Error != "" || c.bytes > 0 && r.Bytes != c.bytes || r.Ended < r.Began {
			t.Errorf("%+v: %+v", c.job, r)
		}
		j.Original, j.Path = files(t, size, c.wrong)
		if r := done(t, j); !strings.Contains(r.Error, "wrong bytes") {
			t.Errorf("%+v: the wrong byte was not seen: %+v", c.job, r)
		}
	}
	if r := (Job{Work: "dance"}).do(); r.Error == "" {
		t.Error("it dances")
	}
	original, path := files(t, 10, -1)
	os.Truncate(path, 5)
	if r := (Job{Work: Cat, Original: original, Path: path}).do(); !strings.Contains(r.Error, "EOF") {
		t.Errorf("a short file: %+v", r)
	}
}

// slow is a file whose reads take a while, by where they are.
type slow struct {
	*bytes.Reader
	takes func(off int64) time.Duration
}

func (s slow) ReadAt(b []byte, off int64) (int, error) {
	time.Sleep(s.takes(off))
	return s.Reader.ReadAt(b, off)
}

var _ io.ReaderAt = slow{}

// TestPlayer: in false time, a film that comes at twice its rate is played without
// a rebuffer, one that is late once has one, and seeking is not counted as one.
func TestPlayer(t *testing.T) {
	const rate = 4 * playRead // four reads are a second
	film := make([]byte, 20*rate)
	for _, c := range []struct {
		name      string
		takes     func(off int64) time.Duration
		rebuffers int
		waited    float64
		took      []float64
	}{
		{"in time", func(int64) time.Duration { return 125 * time.Millisecond }, 0, 0, []float64{0.125, 0.125}},
		{"slow to start", func(off int64) time.Duration {
			if off == 0 || off == 10*rate {
				return 3 * time.Second
			}
			return 50 * time.Millisecond
		}, 0, 0, []float64{3, 3}},
		// It is a second ahead, so of 3 s it stands still for 2 and a little, and until
		// half a second is read.
		{"late once", func(off int64) time.Duration {
			if off == 3*rate {
				return 3 * time.Second
			}
			return 50 * time.Millisecond
		}, 1, 2.05, []float64{0.05, 0.05}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r Result
				s := &session{original: film, file: slow{bytes.NewReader(film), c.takes}, result: &r,
					job: Job{Rate: rate, Every: 5 * time.Second, Places: []int64{0, 10 * rate}}}
				if err := s.play(); err != nil {
					t.Fatal(err)
				}
				if r.Rebuffers != c.rebuffers || max(r.Waited-c.waited, c.waited-r.Waited) > 0.06 {
					t.Errorf("%d rebuffers, stood still for %v s; want %d, %v s", r.Rebuffers, r.Waited, c.rebuffers, c.waited)
				}
				for i, took := range r.Took {
					if max(took-c.took[i], c.took[i]-took) > 1e-6 {
						t.Errorf("the first bytes came after %v s, want %v", r.Took, c.took)
					}
				}
				if r.Bytes != 2*5*rate {
					t.Errorf("%d bytes", r.Bytes)
				}
			})
		})
	}
}
