// Package reader is the programs that read a mount in the laboratory, in a
// process of their own: one that waits in a mount can be killed. Every byte that
// they read is compared with the original.
package reader

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The work of a Job.
const (
	Wait   = "wait"   // until the file is there
	Cat    = "cat"    // from Offset to Offset+Length, as cat(1) reads
	First  = "first"  // waits for the file, and reads Size bytes from its start
	Random = "random" // Size bytes from the start, then Size bytes at each of Places
	Play   = "play"   // plays Every long from each of Places, at Rate
	Many   = "many"   // reads on from all Places at once, for Every
)

// Job is what one reader does.
type Job struct {
	Work           string
	Path, Original string
	Offset, Length int64         // of Cat; Length 0: to the end
	Size           int           // bytes of one read
	Places         []int64       // offsets in bytes
	Rate           int64         // bytes a second
	Every          time.Duration // how long from one place
	Drop           bool          // the kernel first forgets what it has of the file
}

// Result is what it found. Times are in seconds.
type Result struct {
	Error     string // "": every byte was right
	Began     int64  // Unix time in nanoseconds: the file was opened
	Ended     int64
	Bytes     int64
	Inside    float64   // in read(2), without the comparing
	Gap       float64   // the longest between two reads that ended, after the first
	Took      []float64 // First: the read; Random: each; Play: to the first bytes at each place
	Shares    []int64   // Many: bytes from each place
	Rebuffers int
	Waited    float64 // in rebuffers
}

// Serve does the job on in, a JSON value, and writes its Result to out.
func Serve(in io.Reader, out io.Writer) error {
	var j Job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(j.do())
}

func (j Job) do() (r Result) {
	if err := j.work(&r); err != nil {
		r.Error = err.Error()
	}
	r.Ended = time.Now().UnixNano()
	return r
}

func (j Job) work(r *Result) error {
	if j.Work == Wait {
		return appears(j.Path)
	}
	flags := syscall.MAP_SHARED
	if j.Work == Cat {
		flags |= syscall.MAP_POPULATE // the comparison is to cost no page faults while it is timed
	}
	original, err := mapped(j.Original, flags)
	if err != nil {
		return err
	}
	defer syscall.Munmap(original)
	if j.Work == First {
		if err := appears(j.Path); err != nil {
			return err
		}
	}
	r.Began = time.Now().UnixNano()
	f, err := os.Open(j.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if j.Drop {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // advice; there is nothing to do about a no
	}
	s := &session{job: j, original: original, file: f, result: r}
	switch j.Work {
	case Cat:
		return s.cat()
	case First:
		return s.first()
	case Random:
		return s.random()
	case Play:
		return s.play()
	case Many:
		return s.many()
	}
	return fmt.Errorf("no such work: %q", j.Work)
}

// step is how often a file is looked for that is not there yet.
const step = time.Millisecond

// appears waits for a file: it is not there, or below a folder of which nobody
// knows yet what is in it. Whoever started the reader ends it when that is long.
func appears(path string) error {
	for {
		_, err := os.Stat(path)
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODATA) {
			return err
		}
		time.Sleep(step)
	}
}

// mapped is the bytes of a file.
func mapped(path string, flags int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, flags)
}

// session is a Job under way.
type session struct {
	job      Job
	original []byte
	file     io.ReaderAt
	result   *Result
}

// read reads all of b at off, compares it and is how long the reading took.
func (s *session) read(b []byte, off int64) (time.Duration, error) {
	began := time.Now()
	n, err := s.file.ReadAt(b, off)
	took := time.Since(began)
	if err != nil {
		return took, fmt.Errorf("%d of %d bytes at %d: %w", n, len(b), off, err)
	}
	if !bytes.Equal(b, s.original[off:][:len(b)]) {
		return took, fmt.Errorf("wrong bytes in [%d, %d)", off, off+int64(len(b)))
	}
	return took, nil
}

// catSize is how much cat(1) reads at a time.
const catSize = 128 << 10

func (s *session) cat() error {
	end := int64(len(s.original))
	if s.job.Length > 0 {
		end = min(end, s.job.Offset+s.job.Length)
	}
	b := make([]byte, catSize)
	var last time.Time
	for at := s.job.Offset; at < end; at += int64(len(b)) {
		b = b[:min(int64(len(b)), end-at)]
		took, err := s.read(b, at)
		s.result.Inside += took.Seconds()
		if err != nil {
			return err
		}
		now := time.Now()
		if !last.IsZero() {
			s.result.Gap = max(s.result.Gap, now.Sub(last).Seconds())
		}
		last = now
		s.result.Bytes += int64(len(b))
	}
	return nil
}

func (s *session) first() error {
	took, err := s.read(make([]byte, s.job.Size), 0)
	s.result.Took, s.result.Bytes = []float64{took.Seconds()}, int64(s.job.Size)
	return err
}

func (s *session) random() error {
	b := make([]byte, s.job.Size)
	if _, err := s.read(b, 0); err != nil {
		return err
	}
	for _, at := range s.job.Places {
		took, err := s.read(b, at)
		if err != nil {
			return err
		}
		s.result.Took = append(s.result.Took, took.Seconds())
		s.result.Bytes += int64(len(b))
	}
	return nil
}
