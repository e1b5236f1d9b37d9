package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The log of a mount that nobody looks at is in the data folder, with the one before.
const (
	logName = "log"
	oldLog  = ".old"
	// longestLog is when a log becomes the one before.
	longestLog = 8 << 20
)

func logFile(dir string) string { return filepath.Join(dir, logName) }

// divert has this process, and those that it starts, say what they say in the log.
func divert(dir string) error {
	path := logFile(dir)
	if err := shorten(path); err != nil {
		return err
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for to, from := range []*os.File{null, null, log} {
		if err := unix.Dup3(int(from.Fd()), to, 0); err != nil {
			return os.NewSyscallError("dup3", err)
		}
	}
	return nil
}

// shorten makes a log that is long the one before. The processes that write to it
// go on at its new beginning.
func shorten(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && st.Size() < longestLog {
		return nil
	}
	if err != nil {
		return err
	}
	from, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+oldLog, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(to, from); err != nil {
		to.Close()
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	return from.Truncate(0)
}
