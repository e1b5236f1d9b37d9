//go:build !linux

package main

// machineMemory is not asked on other systems: the default of --memory fits them.
func machineMemory() (n int64, ok bool) { return 0, false }
