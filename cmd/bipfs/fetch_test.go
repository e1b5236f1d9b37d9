package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"bipfs/engine/metainfo"
)

// TestPlaceAgain: what was placed before the command was broken off is not in the way of
// the next one, and what is somebody else's is.
func TestPlaceAgain(t *testing.T) {
	dir := t.TempDir()
	from := write(t, "data", "bytes")
	for _, c := range []struct {
		name string
		f    metainfo.File
	}{
		{"file", metainfo.File{Length: 5}},
		{"empty", metainfo.File{}},
		{"link", metainfo.File{Link: "file"}},
	} {
		to := filepath.Join(dir, c.name)
		for range 2 {
			if err := placeFile(to, from, c.f); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := placeFile(to, from, c.f); err == nil {
			t.Errorf("%s: another file is taken for it", c.name)
		}
		if b, err := os.ReadFile(to); err != nil || string(b) != "other" {
			t.Errorf("%s: another file is replaced by %q, %v", c.name, b, err)
		}
	}
}

// TestPlaceUmask: what is downloaded is as private as what any other program makes.
func TestPlaceUmask(t *testing.T) {
	before := syscall.Umask(0o027)
	defer syscall.Umask(before)
	for f, want := range map[*metainfo.File]os.FileMode{
		{Length: 5}: 0o640, {Length: 5, Executable: true}: 0o750, {}: 0o640, {Executable: true}: 0o750,
	} {
		to := filepath.Join(t.TempDir(), "file")
		if err := placeFile(to, write(t, "data", "bytes"), *f); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(to); err != nil || st.Mode() != want {
			t.Errorf("%+v: %v, %v", *f, st.Mode(), err)
		}
	}
}
