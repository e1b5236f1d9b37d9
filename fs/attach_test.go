package fs

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAttachFor: a mount is in the name of whom it is made for, and one that nobody serves
// can be taken away. (That another process serves it is tested in integration/.)
func TestAttachFor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root hands mounts to others")
	}
	if _, err := os.Stat(device); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	user, group := uint32(65534), uint32(65533)
	c, err := Attach(dir, Options{User: &user, Group: &group, Source: "a source, with\tall"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var line string
	for l := range strings.Lines(string(table)) {
		if strings.Contains(l, " "+dir+" ") {
			line = l
		}
	}
	for _, want := range []string{"nosuid", "nodev", mountType, `a\040source,\040with\011all`, fmt.Sprintf("user_id=%d,group_id=%d", user, group), "default_permissions"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %q", want, line)
		}
	}
	if _, err := Attach(dir, Options{}); err == nil || !strings.Contains(err.Error(), "already mounted") {
		t.Errorf("a second one: %v", err)
	}
	if err := c.Unmount(); err != nil {
		t.Error(err)
	}
	if _, mounted, err := mountAt(dir); mounted || err != nil {
		t.Errorf("it is still mounted: %v", err)
	}
	if err := c.Unmount(); err != nil {
		t.Errorf("once more: %v", err)
	}
}
