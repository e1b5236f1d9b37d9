package engine

import "golang.org/x/sys/unix"

// priority is the I/O class of a thread, as ionice(1) sets it.
func priority(tid uint32) (urgent, idleClass bool) {
	const process, shift, realTime, idle = 1, 13, 1, 3 // ioprio_get(2)
	prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, process, uintptr(tid), 0)
	return errno == 0 && prio>>shift == realTime, errno == 0 && prio>>shift == idle
}
