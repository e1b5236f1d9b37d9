package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"bipfs/engine"
	"bipfs/fs/keeper"
)

// TestLabels: the keeper looks for what the engine writes.
func TestLabels(t *testing.T) {
	if engine.Label != keeper.Label {
		t.Errorf("%q, %q", engine.Label, keeper.Label)
	}
}

// TestShorten: a log below its bound stays, one at it becomes the one before, and
// who writes to it goes on.
func TestShorten(t *testing.T) {
	path := filepath.Join(t.TempDir(), logName)
	if err := shorten(path); err != nil {
		t.Errorf("there is none: %v", err)
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	length := func(path string) int64 {
		st, err := os.Stat(path)
		if err != nil {
			return -1
		}
		return st.Size()
	}
	for _, c := range []struct{ write, now, old int64 }{
		{longestLog - 1, longestLog - 1, -1},
		{1, 0, longestLog},
		{10, 10, longestLog},
		{longestLog, 0, longestLog + 10},
	} {
		if _, err := log.Write(bytes.Repeat([]byte{'\n'}, int(c.write))); err != nil {
			t.Fatal(err)
		}
		if err := shorten(path); err != nil {
			t.Fatal(err)
		}
		if now, old := length(path), length(path+oldLog); now != c.now || old != c.old {
			t.Errorf("%+v: %d, before %d", c, now, old)
		}
	}
}
