//go:build !linux

package main

// mountCommands are those that need FUSE as Linux has it: serve does without.
type mountCommands struct{}

// other is that this process is what its command line says.
func other(streams) (code int, is bool) { return 0, false }

// socketOf is the control socket of the mount that path lies in: here is none.
func socketOf(path string) string { return "" }
