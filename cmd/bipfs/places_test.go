//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"bipfs/fs/keeper"
)

// TestPlacesOfWorker: who serves a mount next knows it, though the folder in which it was
// typed is gone.
func TestPlacesOfWorker(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	told := &keeper.Kept{Orders: keeper.Orders{Data: "/data", Mountpoint: []byte("/mnt")}}
	m := mountCommand{Mountpoint: "../../../mnt", kept: told}
	if mountpoint, data, _, err := m.places(); mountpoint != "/mnt" || data != "/data" || err != nil {
		t.Errorf("%s, %s, %v", mountpoint, data, err)
	}
}
