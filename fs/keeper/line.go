package keeper

import (
	"os"
	"syscall"
)

// Keeper and worker talk over a pair of sockets that keeps messages apart. Each is
// one word; words that are not known are not for this version.
type message string

const (
	// Of the worker.
	opened   message = "opened"   // it has all but the mount, and waits for take
	serving  message = "serving"  // it answers
	alive    message = "alive"    // it has seen itself answer, as often as it is to
	stopping message = "stopping" // there shall be no other after it
	left     message = "left"     // it answers no more, and the next may

	// Of the keeper.
	take  message = "take"
	leave message = "leave"
)

// longestMessage is in bytes; what is longer is cut.
const longestMessage = 64

// mostMessages is how many of them wait to be heard.
const mostMessages = 16

// pair makes a line: our end, and the one for another process.
func pair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "keeper"), nil
}

// listen passes on what is said until the other end is closed, or this one.
func listen(line *os.File, said chan<- message) {
	defer close(said)
	b := make([]byte, longestMessage)
	for {
		n, err := line.Read(b)
		if err != nil || n == 0 {
			return
		}
		said <- message(b[:n])
	}
}
