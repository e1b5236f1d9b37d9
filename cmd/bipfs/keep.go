//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"bipfs/engine/control"
	"bipfs/fs"
	"bipfs/fs/keeper"
)

// A mount that outlives what serves it is three processes, all of this program with
// the same arguments:
//
//	bipfs mount -d ──starts──▶ keeper ──starts──▶ worker, and the next, and the next
//	  ends when it is            │ mounts, holds the       │ serves
//	  told "mounted"             │ connection              │
//	                             └───── line, signals ─────┘
//
// mount.bipfs takes the place of the first, and mounts (handed.go).

// keeperEnv makes a process the keeper: it is the path of the program.
const keeperEnv = "BIPFS_KEEPER"

func isKeeper() bool { return os.Getenv(keeperEnv) != "" }

// detach starts the keeper and returns when the mount answers.
func (m *mountCommand) detach(s streams) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = "bipfs-keeper"
	cmd.Env = append(os.Environ(), keeperEnv+"="+program)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("the keeper cannot be started: %w", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	// Not joined: it ends with this process, which has nothing left to do.
	go func() {
		select {
		case <-signals: // of a terminal that is the keeper's no more
			_ = cmd.Process.Signal(syscall.SIGTERM)
		case <-stop:
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		newNotifier(os.Getpid(), m.logger(s.err)).ready(cmd.Process.Pid)
		if _, err = io.WriteString(s.out, line); err == nil && m.HTTP != "" {
			sayPage(s.out, m.pageThere())
		}
		return err
	}
	if err := cmd.Wait(); err == nil {
		return errors.New("the keeper has ended")
	}
	return exitCode(max(cmd.ProcessState.ExitCode(), exitFailed))
}

// pageTime is how long the worker, which answers for the mount already, may take to
// answer at the control socket.
const pageTime = 5 * time.Second

// pageThere is the address of the page of the mount, by its control socket; "" if it
// has none, or no socket: then there is the token in the data folder.
func (m *mountCommand) pageThere() string {
	mountpoint, err := filepath.Abs(m.Mountpoint)
	if err != nil {
		return ""
	}
	dir, err := dataPath(m.Data)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), pageTime)
	defer cancel()
	for _, f := range control.Find(ctx, controlFolder(m.Control, dir)) {
		if f.Status.Mountpoint == mountpoint {
			return f.Status.HTTPURL
		}
	}
	return ""
}

// keep is the life of the keeper.
func (m *mountCommand) keep(s streams) error {
	program := os.Getenv(keeperEnv)
	os.Unsetenv(keeperEnv)
	log := m.logger(s.err)
	mountpoint, dir, remove, err := m.places()
	if err != nil {
		return err
	}
	defer remove()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
	notify := newNotifier(os.Getppid(), log) // whom it has started, and who tells it of us
	silence()
	c, err := m.keptConnection(mountpoint, log)
	if err != nil {
		return err
	}
	k := &keeper.Keeper{
		Connection: c, Program: program, Args: os.Args[1:], Mountpoint: mountpoint, Data: dir, Log: log,
		Served: func() {
			fmt.Fprintln(s.out, "mounted", mountpoint)
			if err := divert(dir); err != nil {
				log.Error("the log stays where it is", "err", err)
			}
		},
		Tend: func() {
			if err := shorten(logFile(dir)); err != nil {
				log.Error("the log cannot be shortened", "err", err)
			}
		},
		Watch: notify.watch, Alive: notify.alive,
	}
	defer notify.stopping()
	if code := k.Run(signals); code != 0 {
		return exitCode(code)
	}
	return nil
}

// keptConnection is the mount that the keeper keeps: made by itself, or for it.
func (m *mountCommand) keptConnection(mountpoint string, log *slog.Logger) (*fs.Connection, error) {
	if handed() {
		return takeConnection(mountpoint)
	}
	options, err := mountOptions(m.Options)
	if err != nil {
		return nil, err
	}
	if err := fs.Clean(mountpoint); err != nil {
		return nil, err
	}
	options.Log = log
	waitingReads(&options)
	return fs.Attach(mountpoint, options)
}
