//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/fs"
)

// A notifier tells the service manager that started this process how it does, as
// sd_notify(3) has it: datagrams to the unix socket that $NOTIFY_SOCKET names. It is
// written here, without package net and without its own library: a message is one
// sendmsg(2), and it goes no further than this machine. What cannot be sent is logged
// and not tried again: the mount is as good without.
//
//	FDSTORE ── READY ── WATCHDOG … ──┬── STOPPING, FDSTOREREMOVE: unmounted
//	   (nothing, if it is inherited) ├── STOPPING: left to the next (SIGUSR2)
//	                                 └── killed: the next inherits it too
type notifier struct {
	to    *unix.SockaddrUnix // nil: nobody wants to know
	watch time.Duration      // how often a sign of life is wanted; 0: never
	log   *slog.Logger
}

const (
	// notifyTime is how long the service manager may take for a message.
	notifyTime = 2 * time.Second
	// watchesEach is how many signs of life are given in the time of one.
	watchesEach = 2

	// The names that the two descriptors of a mount have in its store.
	storedDevice = "bipfs-device"
	storedState  = "bipfs-state"
)

// newNotifier is for a process that was started as whose pid.
func newNotifier(pid int, log *slog.Logger) *notifier {
	n := &notifier{log: log}
	name := os.Getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return n // none, or one of another machine
	}
	n.to = &unix.SockaddrUnix{Name: name}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	of := os.Getenv("WATCHDOG_PID")
	if err == nil && usec > 0 && usec <= int64(time.Duration(1<<63-1)/time.Microsecond) && (of == "" || of == strconv.Itoa(pid)) {
		n.watch = max(time.Duration(usec)*time.Microsecond/watchesEach, time.Millisecond)
	}
	return n
}

// silence keeps what was told to this process from the programs that it starts.
func silence() {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
}

// tell sends a message, with descriptors.
func (n *notifier) tell(message string, fds ...int) {
	if n.to == nil {
		return
	}
	if err := n.send(message, fds); err != nil {
		n.log.Warn("the service manager is not told", "message", message, "err", err)
	}
}

func (n *notifier) send(message string, fds []int) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	patience := unix.NsecToTimeval(int64(notifyTime))
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(s, []byte(message), rights, n.to, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// ready says that the mount answers; main is the process that is to be looked at from
// now on, 0 this one.
func (n *notifier) ready(main int) {
	message := "READY=1"
	if main != 0 {
		message += fmt.Sprintf("\nMAINPID=%d", main)
	}
	n.tell(message)
}

// stopping says that this process is about to end.
func (n *notifier) stopping() { n.tell("STOPPING=1") }

// alive is a sign of life.
func (n *notifier) alive() { n.tell("WATCHDOG=1") }

// store has the service manager hold a mount, for when this process dies.
func (n *notifier) store(c *fs.Connection) {
	files := c.Files()
	n.tell("FDSTORE=1\nFDNAME="+storedDevice, int(files[0].Fd()))
	n.tell("FDSTORE=1\nFDNAME="+storedState, int(files[1].Fd()))
}

// forget has it let go of that.
func (n *notifier) forget() {
	n.tell("FDSTOREREMOVE=1\nFDNAME=" + storedDevice)
	n.tell("FDSTOREREMOVE=1\nFDNAME=" + storedState)
}

// watchOver gives signs of life until ctx ends: tell is called for each time that
// answers, which takes no longer than every, has no error.
func watchOver(ctx context.Context, every time.Duration, answers func(context.Context) error, tell func(), log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, every)
		err := answers(try)
		cancel()
		switch {
		case err == nil:
			tell()
		case ctx.Err() == nil:
			log.Warn("no sign of life", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// firstListened is the first of the descriptors that a service manager hands over,
// and mostListened how many of them are looked at.
const (
	firstListened = 3
	mostListened  = 64
)

// inherited is the mount that an earlier process has left with the service manager;
// nil: there is none. One that cannot be gone on with is given up.
func (n *notifier) inherited(mountpoint string) *fs.Connection {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	fds := map[string]int{}
	for i := range min(count, mostListened) {
		fd := firstListened + i
		unix.CloseOnExec(fd)
		if i < len(names) && (names[i] == storedDevice || names[i] == storedState) {
			if older, twice := fds[names[i]]; twice {
				unix.Close(older)
			}
			fds[names[i]] = fd
		} else {
			unix.Close(fd)
		}
	}
	if len(fds) == 0 {
		return nil
	}
	c, err := goOn(mountpoint, fds)
	if err != nil {
		n.log.Warn("the mount that the service manager holds is given up, and mounted anew", "err", err)
		n.forget()
	}
	return c
}

// goOn takes over a mount that was left.
func goOn(mountpoint string, fds map[string]int) (*fs.Connection, error) {
	if len(fds) != 2 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, errors.New("half of it is missing")
	}
	c, err := fs.Inherit(mountpoint, [2]int{fds[storedDevice], fds[storedState]})
	if err != nil {
		return nil, err
	}
	shown, err := c.Shown()
	if err == nil && (!shown || c.Ended()) {
		err = fmt.Errorf("%s does not show it", mountpoint)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
