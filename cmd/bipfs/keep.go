//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

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
func detach(s streams, log *slog.Logger) error {
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
		newNotifier(os.Getpid(), log).ready(cmd.Process.Pid)
		_, err = io.WriteString(s.out, line)
		return err
	}
	if err := cmd.Wait(); err == nil {
		return errors.New("the keeper has ended")
	}
	return exitCode(max(cmd.ProcessState.ExitCode(), exitFailed))
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
		Connection: c, Program: program, Args: os.Args[1:], Data: dir, Log: log,
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
