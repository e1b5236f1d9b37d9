package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// isJournal reports whether what is written to w goes to journald: it tells by the
// device and inode of the socket that it gave to this process, which may write
// elsewhere by now (systemd.exec(5), $JOURNAL_STREAM).
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	var device, inode uint64
	if n, err := fmt.Sscanf(os.Getenv("JOURNAL_STREAM"), "%d:%d", &device, &inode); n != 2 || err != nil {
		return false
	}
	st, err := f.Stat()
	if err != nil {
		return false
	}
	is, ok := st.Sys().(*syscall.Stat_t)
	return ok && uint64(is.Dev) == device && is.Ino == inode
}

// journal writes lines of a log for journald, with their priority in front
// (sd-daemon(3)). It is given lines that begin with their level.
type journal struct{ io.Writer }

// priorities are those of syslog(3), by the name of the level.
var priorities = map[string]string{"ERROR": "<3>", "WARN": "<4>", "INFO": "<6>", "DEBUG": "<7>"}

// Write writes one line.
func (j journal) Write(line []byte) (int, error) {
	priority := "<6>"
	for level, p := range priorities {
		if bytes.HasPrefix(line, []byte("level="+level)) || bytes.HasPrefix(line, []byte(`{"level":"`+level)) {
			priority = p
		}
	}
	if _, err := j.Writer.Write(append([]byte(priority), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// untimed leaves the time out: journald has its own.
func untimed(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
