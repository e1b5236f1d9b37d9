//go:build linux

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"bipfs/engine/control"
	"bipfs/fs"
)

// linkTime is how long a mount may take to say where its socket is.
const linkTime = 2 * time.Second

// socketOf is the control socket of the mount of bipfs that path lies in, of whatever
// user it is; "" if there is none, or the mount does not say.
func socketOf(path string) string {
	said := make(chan string, 1)
	// Not joined: if the mount does not answer, a system call has no end.
	go func() { said <- socketThere(path) }()
	late := time.NewTimer(linkTime)
	defer late.Stop()
	select {
	case socket := <-said:
		return socket
	case <-late.C:
		return ""
	}
}

// socketThere is socketOf, however long it takes. A socket that is not of who has
// mounted is none: nobody is to lead root to another's.
func socketThere(path string) string {
	at, ok := mountOver(path)
	if !ok {
		return ""
	}
	socket, err := os.Readlink(filepath.Join(at.Dir, controlName, socketName))
	if err != nil {
		return ""
	}
	st, err := os.Lstat(socket)
	if err != nil || st.Sys().(*syscall.Stat_t).Uid != at.User {
		return ""
	}
	return socket
}

// mountOver is the mount of bipfs that path lies in, or theOnly one.
func mountOver(path string) (at fs.Mounted, found bool) {
	all, err := fs.Mounts()
	if err != nil {
		return at, false
	}
	if path == theOnly {
		if len(all) != 1 {
			return at, false
		}
		return all[0], true
	}
	if path, err = filepath.Abs(path); err != nil {
		return at, false
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for _, m := range all {
		if _, below := control.Below(path, m.Dir); below && len(m.Dir) >= len(at.Dir) {
			at, found = m, true
		}
	}
	return at, found
}
