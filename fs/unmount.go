package fs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// noFollow is UMOUNT_NOFOLLOW of umount2(2).
	noFollow = 8
	// momentTime is how long a mount may be in use before that is said: the hand uses it
	// for a moment after each change (hand.go), and so does whoever has just closed a file.
	momentTime = time.Second
	// answerTime is how long a mount may take to answer before it is said not to.
	answerTime = 2 * time.Second
)

// mountPoint is one line of the kernel's table of mounts.
type mountPoint struct {
	device string // "0:45"; the minor number is the connection's in fusectl
	dir    string
	kind   string // "fuse.bipfs"
}

// connection is the number of a FUSE mount in /sys/fs/fuse/connections.
func (m mountPoint) connection() string {
	_, minor, _ := strings.Cut(m.device, ":")
	return minor
}

// mountAt is what is mounted at dir, the topmost if several are. The table is
// asked because a mount need not answer.
func mountAt(dir string) (mountPoint, bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mountPoint{}, false, fmt.Errorf("the table of mounts cannot be read: %w", err)
	}
	m, ok := findMount(string(table), dir)
	return m, ok, nil
}

// Mounted is a mount of bipfs, of any user.
type Mounted struct {
	Dir  string
	User uint32 // whose it is
}

// Mounts are the mounts of bipfs in the kernel's table. None of them is asked.
func Mounts() ([]Mounted, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("the table of mounts cannot be read: %w", err)
	}
	return allMounts(string(table)), nil
}

func allMounts(table string) (all []Mounted) {
	for line := range strings.Lines(table) {
		m, options := readMount(line)
		if m.kind != mountType {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			digits, ok := strings.CutPrefix(option, "user_id=")
			if user, err := strconv.ParseUint(digits, 10, 32); ok && err == nil {
				all = append(all, Mounted{m.dir, uint32(user)})
			}
		}
	}
	return all
}

// findMount is the topmost mount at dir.
func findMount(table, dir string) (top mountPoint, found bool) {
	for line := range strings.Lines(table) { // later mounts lie on top
		if m, _ := readMount(line); m.kind != "" && m.dir == dir {
			top, found = m, true
		}
	}
	return top, found
}

// readMount reads a line of proc_pid_mountinfo(5): "36 35 0:45 / /mnt rw - fuse.bipfs
// bipfs rw,user_id=0", with any number of fields before the dash. One that is none has
// no kind.
func readMount(line string) (m mountPoint, options string) {
	place, what, ok := strings.Cut(line, " - ")
	fields, kind := strings.Fields(place), strings.Fields(what)
	if !ok || len(fields) < 5 || len(kind) == 0 {
		return m, ""
	}
	return mountPoint{fields[2], unescape(fields[4]), kind[0]}, kind[len(kind)-1]
}

// unescape reads the octal numbers that the table has for blanks and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Clean unmounts what a killed daemon left at dir. Nothing there, or something
// that is not ours, is no error; a mount that is served is one.
func Clean(dir string) error {
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	for {
		at, mounted, err := mountAt(dir)
		if err != nil || !mounted || at.kind != mountType {
			return err
		}
		switch err := answers(dir); {
		case err == nil:
			return fmt.Errorf("%s is already mounted by bipfs: unmount it first", dir)
		case !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED):
			return fmt.Errorf("%s is mounted by bipfs and does not answer: %w", dir, err)
		}
		if err := detach(dir, true); err != nil {
			return err
		}
	}
}

// answers asks a mount for something. The goroutine of a mount that does not
// answer (its daemon is stopped) stays until it does or is killed: nothing ends a
// system call in another thread.
func answers(dir string) error {
	answer := make(chan error, 1)
	// Not joined: if the mount does not answer, the system call has no end.
	go func() {
		var st syscall.Statfs_t
		answer <- syscall.Statfs(dir, &st)
	}()
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case err := <-answer:
		return err
	case <-late.C:
		return syscall.ETIMEDOUT
	}
}

// Unmount unmounts a mount of bipfs, of any process. lazy takes it from the tree
// of directories at once, even when it is in use; it ends with its last user.
func Unmount(dir string, lazy bool) error {
	dir, err := resolve(dir)
	if err != nil {
		return err
	}
	at, mounted, err := mountAt(dir)
	if err != nil {
		return err
	}
	if !mounted || at.kind != mountType {
		return fmt.Errorf("%s is not mounted by bipfs", dir)
	}
	err = detach(dir, lazy)
	for began := time.Now(); errors.Is(err, syscall.EBUSY) && time.Since(began) < momentTime; {
		time.Sleep(momentTime / 20)
		err = detach(dir, lazy)
	}
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%s is in use: leave it and close its files first, or unmount it lazily", dir)
	}
	return err
}

// ErrBounded is that this process has no right to unmount, and can gain none
// (no_new_privs): fusermount3 would have to.
var ErrBounded = errors.New("who may gain no rights (no_new_privs) cannot unmount it, root can")

// detach unmounts dir. A mount in use is EBUSY, unless lazy.
func detach(dir string, lazy bool) error {
	if Privileged() == nil {
		flags := noFollow
		if lazy {
			flags |= syscall.MNT_DETACH
		}
		err := syscall.Unmount(dir, flags)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EPERM) {
			return fmt.Errorf("%s cannot be unmounted: %w", dir, err)
		}
	}
	if bounded, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && bounded == 1 {
		return fmt.Errorf("%s: %w", dir, ErrBounded)
	}
	args := []string{"-u", "--", dir}
	if lazy {
		args = []string{"-u", "-z", "--", dir}
	}
	if err := detachFusermount(args...); err != nil {
		if strings.Contains(err.Error(), "busy") {
			err = syscall.EBUSY
		}
		return fmt.Errorf("%s cannot be unmounted: %w", dir, err)
	}
	return nil
}
