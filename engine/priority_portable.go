//go:build !linux

package engine

// priority is the I/O class of a thread: other systems have none.
func priority(uint32) (urgent, idleClass bool) { return false, false }
