package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mostMemory is the default of --memory where the machine has plenty.
const mostMemory = 256 << 20

// defaultMemory is the smallest of mostMemory, a quarter of the machine's RAM
// and a quarter of what the control group allows.
func defaultMemory() int64 {
	n := int64(mostMemory)
	if all, ok := machineMemory(); ok {
		n = min(n, all/4)
	}
	if limit, ok := groupMemory(); ok {
		n = min(n, limit/4)
	}
	return n
}

// groupMemory is the smallest limit of this process's control group and those
// above it, in bytes, of version 2 (memory.max) or 1 (memory.limit_in_bytes).
func groupMemory() (limit int64, ok bool) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		// number:controllers:group; version 2 has no controllers here.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		if fields[1] != "" {
			if !slices.Contains(strings.Split(fields[1], ","), "memory") {
				continue
			}
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for dir := filepath.Clean("/" + fields[2]); ; dir = filepath.Dir(dir) {
			if n, err := readLimit(filepath.Join(root, dir, file)); err == nil && (!ok || n < limit) {
				limit, ok = n, true
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit, ok
}

// readLimit reads a limit. One that is "max" is none, and an error.
func readLimit(file string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
