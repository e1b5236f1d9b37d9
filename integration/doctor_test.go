package integration

import (
	"strings"
	"testing"
)

// TestDoctor: of a mount that runs it tells who serves it, and whether peers come in.
func TestDoctor(t *testing.T) {
	t.Parallel()
	to := torrentOf(t, file(t, "doctored.bin", 1<<20), 256<<10)
	seeder := scripted(t, manner{}, to)
	m := mountBipfs(t, mounting{flags: peerFlags(seeder), sources: []string{to.file}})
	same(t, to.shown(m), to.content)
	r := run(t, longEnough, bipfs, "doctor", "--data", m.data, "--control", m.control())
	for _, says := range []string{"ok", "/dev/fuse", m.dir + " is served by pid", "peers"} {
		if !strings.Contains(r.out, says) {
			t.Errorf("nothing about %q: %s", says, r.out)
		}
	}
}
