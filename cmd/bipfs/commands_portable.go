//go:build !linux

package main

// mountCommands are those that need FUSE as Linux has it: serve does without.
type mountCommands struct{}
