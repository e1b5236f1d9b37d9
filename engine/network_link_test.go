package engine

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// secluded runs the rest of the test in a network of its own with two devices,
// "lan" (10.1.1.1/24, fd00:1::1/64) and "other" (10.1.2.1/24, fd00:2::1/64), that are the ends of one wire.
func secluded(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make a network namespace")
	}
	runtime.LockOSThread() // for ever: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespaces here: %v", err)
	}
	for line := range strings.Lines(`ip link set lo up
ip link add lan type veth peer name other
ip address add 10.1.1.1/24 dev lan
ip address add 10.1.2.1/24 dev other
ip address add fd00:1::1/64 dev lan nodad
ip address add fd00:2::1/64 dev other nodad
ip link set lan up
ip link set other up
timeout 5 sh -c 'until ip -6 route get ff15::1 oif lan && ip -6 route get ff15::1 oif other; do sleep 0.02; done'`) {
		if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
			t.Skipf("%s: %v %s", line, err, out)
		}
	}
}
