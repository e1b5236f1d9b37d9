//go:build linux

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

// divert has this process, and those that it starts, say what they say in the log; or
// in the journal, if that is where they say it now.
func divert(dir string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if !isJournal(os.Stderr) {
		path := logFile(dir)
		if err := shorten(path); err != nil {
			return err
		}
		log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		if err := become(os.Stderr, log); err != nil {
			return err
		}
	}
	return errors.Join(become(os.Stdin, null), become(os.Stdout, null))
}

// become has the descriptor of f lead where that of other does.
func become(f, other *os.File) error {
	return os.NewSyscallError("dup3", unix.Dup3(int(other.Fd()), int(f.Fd()), 0))
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
