package main

import "syscall"

// machineMemory is the RAM of this machine, bytes.
func machineMemory() (n int64, ok bool) {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0, false
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit)), true
}
