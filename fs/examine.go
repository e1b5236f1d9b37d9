package fs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// What a machine has of what a mount needs. An error is a sentence that says what to
// do.

// The kernels that matter, {major, minor}.
var (
	leastKernel  = [2]int{5, 11} // openat2(2) is of 5.6, CLOSE_RANGE_CLOEXEC of 5.11
	resendKernel = [2]int{6, 9}  // FUSE_NOTIFY_RESEND and FOPEN_PASSTHROUGH
)

// Release is that of the kernel, and what it lacks: serious tells whether a
// mount would not work at all.
func Release() (release string, serious bool, err error) {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return "", false, os.NewSyscallError("uname", err)
	}
	b := make([]byte, 0, len(u.Release))
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	serious, err = judgeKernel(string(b))
	return string(b), serious, err
}

func judgeKernel(release string) (serious bool, err error) {
	var v [2]int
	if n, _ := fmt.Sscanf(release, "%d.%d", &v[0], &v[1]); n < len(v) {
		return false, nil // nobody knows
	}
	older := func(than [2]int) bool { return v[0] < than[0] || v[0] == than[0] && v[1] < than[1] }
	switch {
	case older(leastKernel):
		return true, fmt.Errorf("the kernel, %s, is older than %d.%d: install a newer one", release, leastKernel[0], leastKernel[1])
	case older(resendKernel):
		return false, fmt.Errorf("before Linux %d.%d reads that wait fail when what serves a mount of -d dies, and complete files are read through bipfs: a newer kernel is faster", resendKernel[0], resendKernel[1])
	}
	return false, nil
}

// Device reports whether this user may open /dev/fuse.
func Device() error {
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return deviceError(err)
	}
	return syscall.Close(fd)
}

// mtab is the table of mounts as fusermount3 reads it. A root that was made by hand
// may have none.
const mtab = "/etc/mtab"

// Fusermount is the path of the program that mounts for ordinary users. It has to be
// setuid root.
func Fusermount() (path string, err error) {
	cmd, err := fusermount()
	if err != nil {
		return "", err
	}
	st, err := os.Stat(cmd.Path)
	if err != nil {
		return "", err
	}
	if st.Mode()&os.ModeSetuid == 0 {
		return cmd.Path, fmt.Errorf("%s is not setuid root: install the package fuse3 again, or chmod u+s it", cmd.Path)
	}
	if _, err := os.Stat(mtab); err != nil {
		return cmd.Path, fmt.Errorf("%s, which fusermount3 reads to unmount, is missing: ln -s /proc/self/mounts %s", mtab, mtab)
	}
	return cmd.Path, nil
}

// Others reports whether ordinary users may mount with -o allow_other.
func Others() error {
	if othersAllowed() {
		return nil
	}
	return errors.New("ordinary users may not let others in: for -o allow_other put the line user_allow_other into /etc/fuse.conf")
}

// capSysAdmin is the number of CAP_SYS_ADMIN.
const capSysAdmin = 21

// Privileged reports whether this process has CAP_SYS_ADMIN: it mounts without
// fusermount3, and may have the kernel read files by itself.
func Privileged() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	if mask, err := capabilities(string(status)); err == nil && mask&(1<<capSysAdmin) != 0 {
		return nil
	}
	return errors.New("complete files are read through bipfs: the kernel reads them by itself only for root (CAP_SYS_ADMIN)")
}

// capabilities are the effective ones of proc_pid_status(5).
func capabilities(status string) (uint64, error) {
	_, rest, _ := strings.Cut(status, "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(strings.TrimSpace(line), 16, 64)
}
