package keeper

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"bipfs/fs"
)

// The workers of the tests are this binary again. What one is to do stands in the
// file `do` of its data folder; what it does it adds to the file `done`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "version" {
		os.Exit(0)
	}
	if os.Getenv(ordersEnv) != "" {
		os.Exit(work())
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// work is the life of a worker.
func work() int {
	w, err := Worker()
	if err != nil {
		panic(err)
	}
	do, err := os.ReadFile(filepath.Join(w.Data, "do"))
	if err != nil {
		panic(err)
	}
	note := func(what ...any) {
		f, err := os.OpenFile(filepath.Join(w.Data, "done"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, what...)
		f.Close()
	}
	dataFolder = w.Data
	words := strings.Fields(string(do))
	dieAsked = words[0] == "asked"
	if os.Getenv("FIXED") != "" { // this program does not do as it is told
		words[0] = "serve"
	}
	if words[0] == "old" { // the kernel does not offer to send anything again
		flags := make([]byte, 4)
		if _, err := unix.Pread(stateFd, flags, 64+56); err != nil {
			panic(err)
		}
		binary.NativeEndian.PutUint32(flags, binary.NativeEndian.Uint32(flags)&^(1<<7))
		if _, err := unix.Pwrite(stateFd, flags, 64+56); err != nil {
			panic(err)
		}
	}
	switch {
	case words[0] == "exit":
		return len(words[1])
	case words[0] == "crash" && !slices.Contains(w.Aside, words[1]):
		pprof.Do(context.Background(), pprof.Labels(Label, words[1]), func(context.Context) {
			done := make(chan struct{})
			go func() { panic("as it was told") }() // which inherits the label
			<-done
		})
	}
	c, err := w.Take(words[len(words)-1], nil)
	if err != nil {
		panic(err)
	}
	s, err := c.Serve(oneFile{}, fs.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		panic(err)
	}
	note("serving", os.Getpid(), w.Again, w.Aside, w.PID())
	w.Serving()
	if os.Getenv("BROKEN") != "" {
		return 9
	}
	gone := make(chan struct{})
	go func() { s.Wait(); close(gone) }()
	select {
	case <-w.Leave():
		if err := s.Leave(context.Background()); err != nil {
			panic(err)
		}
		w.Left()
	case <-gone:
		w.Stopping()
	case <-w.lost:
		note("alone")
		<-gone
	}
	w.Close()
	return 0
}

// dataFolder is the worker's. The file `waits` is made in it when a read begins
// to wait.
var dataFolder string

// dieAsked is that a worker does not survive STATFS.
var dieAsked bool

// oneFile is a tree with one file, whose reads in the second half never end.
type oneFile struct{ fs.Tree }

const fileID, fileBytes = 2, "what there is to be read"

func (oneFile) Attr(id fs.ID) (fs.Attr, error) {
	if id == fileID {
		return fs.Attr{ID: id, Mode: syscall.S_IFREG | 0o444, Size: 1 << 20, Fixed: true}, nil
	}
	return fs.Attr{ID: fs.Root, Mode: syscall.S_IFDIR | 0o555}, nil
}

func (o oneFile) Lookup(_ fs.ID, name string) (fs.Attr, error) {
	if name != "file" {
		return fs.Attr{}, syscall.ENOENT
	}
	return o.Attr(fileID)
}

func (oneFile) Open(fs.ID) (fs.Handle, error)        { return oneFile{}, nil }
func (oneFile) Backing() (fs.Backing, bool)          { return nil, false }
func (oneFile) Hold() (fs.Backing, bool)             { return nil, false }
func (oneFile) Close()                               {}
func (oneFile) OpenDir(context.Context, fs.ID) error { return nil }

// Statfs is the death of a worker that is told `asked`: nobody asks but itself.
func (oneFile) Statfs() fs.Statfs {
	if dieAsked {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return fs.Statfs{}
}

func (oneFile) Read(ctx context.Context, off int64, n int, _ fs.Caller) (fs.Reply, error) {
	if off >= 512<<10 {
		if err := os.WriteFile(filepath.Join(dataFolder, "waits"), nil, 0o600); err != nil {
			panic(err)
		}
		<-ctx.Done()
		return fs.Reply{}, ctx.Err()
	}
	return fs.Reply{Slices: [][]byte{[]byte(strings.Repeat(fileBytes, n/len(fileBytes)+1))[:n]}}, nil
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in 30 s: " + what)
		}
	}
}
