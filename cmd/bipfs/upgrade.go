//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"bipfs/engine/control"
)

// upgradeCommand is `bipfs upgrade`.
type upgradeCommand struct{ talkFlags }

const (
	// upgradeTime is how long an upgrade may take: the old worker has to leave and
	// the new one to load all torrents.
	upgradeTime = time.Minute
	// refusedTime is how long the old worker may go on before the new program is
	// taken to have been refused.
	refusedTime = 20 * time.Second
	askAgain    = 50 * time.Millisecond
)

// Run has the keeper exchange the worker for this program, which must lie where the
// mount was started from.
func (c *upgradeCommand) Run(s streams) error {
	return c.talk(s, nil, func(ctx context.Context, t *talk) error {
		before := t.Status
		if before.KeeperPID == 0 {
			return fmt.Errorf("%s has no keeper (it was not mounted with -d): unmount it, and mount it again", before.Mountpoint)
		}
		if err := syscall.Kill(before.KeeperPID, syscall.SIGUSR2); err != nil {
			return fmt.Errorf("the keeper of %s, pid %d: %w", before.Mountpoint, before.KeeperPID, err)
		}
		ctx, cancel := context.WithTimeout(ctx, upgradeTime)
		defer cancel()
		after, err := t.exchanged(ctx)
		if err != nil {
			return err
		}
		if err := isThis(after.PID); err != nil {
			return fmt.Errorf("%s is served, but not by this program: %w; the log in %s says why", after.Mountpoint, err, logFile(after.Data))
		}
		return t.print(after, func(w io.Writer) {
			fmt.Fprintf(w, "%s\tversion %s, pid %d; before: version %s, pid %d\n", after.Mountpoint, after.Version, after.PID, before.Version, before.PID)
		})
	})
}

// exchanged waits until another process answers for the mount.
func (t *talk) exchanged(ctx context.Context) (now control.Status, err error) {
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return now, fmt.Errorf("%s does not answer; the log in %s says why", t.Status.Mountpoint, logFile(t.Status.Data))
		case <-again.C:
		}
		now = control.Status{}
		if err := t.Get(ctx, "status", &now); err != nil {
			continue // nobody is there between the two
		}
		if now.PID != t.Status.PID {
			return now, nil
		}
		if time.Since(began) > refusedTime {
			return now, fmt.Errorf("%s is not upgraded; the log in %s says why", t.Status.Mountpoint, logFile(t.Status.Data))
		}
	}
}

// isThis compares the program of a process with the one that runs here.
func isThis(pid int) error {
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return err
	}
	ours, err := os.Stat("/proc/self/exe")
	if err != nil {
		return err
	}
	if os.SameFile(ours, theirs) {
		return nil
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return errors.Join(err, fmt.Errorf("by %s", path))
}
