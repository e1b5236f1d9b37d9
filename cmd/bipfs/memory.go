package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// mostMemory is the default of --memory where the machine has plenty.
const mostMemory = 256 << 20

// defaultMemory is the smallest of mostMemory, a quarter of the machine's RAM
// and a quarter of what the control group allows.
func defaultMemory() int64 {
	n := int64(mostMemory)
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		n = min(n, int64(uint64(info.Totalram)*uint64(info.Unit)/4))
	}
	if limit, ok := groupMemory(); ok {
		n = min(n, limit/4)
	}
	return n
}

// groupMemory is the smallest memory.max of this process's control group (v2)
// and those above it, in bytes.
func groupMemory() (limit int64, ok bool) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		group, found := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !found {
			continue
		}
		for dir := filepath.Clean("/" + group); ; dir = filepath.Dir(dir) {
			if n, err := memoryMax(dir); err == nil && (!ok || n < limit) {
				limit, ok = n, true
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit, ok
}

func memoryMax(group string) (int64, error) {
	b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", group, "memory.max"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
