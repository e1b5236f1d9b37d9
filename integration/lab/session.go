package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"bipfs/integration/lab/reader"
	"bipfs/integration/lab/swarm"
)

// roleEnv names the variable that makes this program one of its other processes.
const roleEnv = "BIPFS_LAB_ROLE"

// role is a process of this program that plays a part; arguments follow.
func role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+name)
	return cmd
}

// session is one client in front of one swarm:
//
//	prepare ──▶ start ──▶ listed ──▶ read, read, … ──▶ close
//	 swarm      client     a mount shows the files      both end, nothing stays
type session struct {
	lab     *lab
	system  system
	content content
	source  string // what the client is given
	dir     string // all of the session
	at      string // mount point, or the folder of a download
	client  *process
	swarm   *process
	orders  io.WriteCloser
	answers *lines
}

// prepare starts a swarm and makes the folders of a client.
func (l *lab) prepare(s system, c content, seeders []swarm.Manner) (*session, error) {
	dir, err := os.MkdirTemp(l.disk, s.name+"-")
	if err != nil {
		return nil, err
	}
	n := &session{lab: l, system: s, content: c, source: c.torrent, dir: dir, at: filepath.Join(dir, "at")}
	if err := os.Mkdir(n.at, 0o755); err != nil {
		return n, err
	}
	plan := swarm.Plan{Tracker: trackerAddress, Contents: []swarm.Content{{Torrent: c.torrent, Image: c.image}}, Chance: 1}
	for i, m := range seeders {
		plan.TrackerDelay = max(plan.TrackerDelay, m.Delay)
		plan.Seeders = append(plan.Seeders, swarm.Seeder{Address: seederAddress(i), Manner: m})
	}
	return n, n.populate(plan)
}

// farPriority is the niceness of a swarm that is far away.
const farPriority = -10

// populate starts the swarm of a plan.
func (n *session) populate(plan swarm.Plan) error {
	cmd := role("swarm")
	var err error
	if n.orders, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if n.answers, err = linesOf(cmd); err != nil {
		return err
	}
	if n.swarm, err = startProcess(n.lab.net.swarm, cmd); err != nil {
		return err
	}
	if plan.TrackerDelay > 0 {
		// What is far away is not slowed by what this machine does. Where root may not
		// say so either, a busy machine shows in the figures.
		_ = unix.Setpriority(unix.PRIO_PGRP, n.swarm.cmd.Process.Pid, farPriority)
	}
	if err := json.NewEncoder(n.orders).Encode(plan); err != nil {
		return err
	}
	if err := n.answers.expect("ready"); err != nil {
		n.swarm.stop()
		return fmt.Errorf("the swarm does not begin: %w: %s", err, n.swarm.log)
	}
	return nil
}

// start starts the client.
func (n *session) start() (err error) {
	data := filepath.Join(n.dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	argv := n.system.command(n.lab, n.source, n.at, data)
	n.client, err = startProcess(n.lab.net.client, exec.Command(argv[0], argv[1:]...))
	return err
}

// path is where the mount has the torrent, or a file of it.
func (n *session) path(below ...string) string {
	return filepath.Join(append([]string{n.at, n.system.below(n.content)}, below...)...)
}

// listTime is how long a mount may take to show a torrent.
const listTime = 30 * time.Second

// listed waits until the mount shows the torrent.
func (n *session) listed(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, errors.New("the mount does not show it"))
	defer cancel()
	_, err := n.read(ctx, reader.Job{Work: reader.Wait})
	return err
}

// read runs one reader to its end. Where the job names no file it is that of the
// torrent.
func (n *session) read(ctx context.Context, j reader.Job) (reader.Result, error) {
	if j.Path == "" {
		j.Path = n.path()
	}
	if j.Original == "" {
		j.Original = n.content.original
	}
	r, err := runReader(ctx, j)
	if err != nil && n.client != nil && !n.client.runs() {
		err = fmt.Errorf("%w; %s had ended: %s", err, n.system.name, tail(n.client.log.String()))
	}
	return r, err
}

// runReader runs a reader in a process of its own.
func runReader(ctx context.Context, j reader.Job) (r reader.Result, err error) {
	b, err := json.Marshal(j)
	if err != nil {
		return r, err
	}
	cmd := role("reader")
	cmd.Stdin = strings.NewReader(string(b))
	p, err := startProcess("", cmd)
	if err != nil {
		return r, err
	}
	if err := p.wait(ctx); err != nil {
		p.kill() // one that waits in a mount obeys nothing less
		return r, fmt.Errorf("%s: %w", j.Work, err)
	}
	if err := json.Unmarshal(p.log.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%s: %w", tail(p.log.String()), err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("%s: %s", j.Work, r.Error)
	}
	return r, nil
}

// sent is what each seeder has done.
func (n *session) sent() (all []swarm.Sent, err error) {
	if _, err := fmt.Fprintln(n.orders, "sent"); err != nil {
		return nil, err
	}
	b, err := n.answers.next()
	if err != nil {
		return nil, fmt.Errorf("the swarm: %w", err)
	}
	return all, json.Unmarshal(b, &all)
}

// total is the sum of what a swarm has sent.
func total(all []swarm.Sent) (t swarm.Sent) {
	for _, s := range all {
		t.Bytes += s.Bytes
		t.Twice += s.Twice
		t.Requests += s.Requests
		t.Cancels += s.Cancels
	}
	return t
}

// close ends both and removes what they have left.
func (n *session) close() {
	if n.system.kind == mounts {
		unmount(n.at) // as a user does; not every client ends at a signal before
	}
	if n.client != nil && !n.client.stop() {
		fmt.Fprintf(os.Stderr, "lab: %s did not obey SIGTERM within %v\n", n.system.name, stopTime)
	}
	unmount(n.at, "-l")
	if n.swarm != nil {
		n.orders.Close()
		n.swarm.stop()
	}
	if err := os.RemoveAll(n.dir); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
	}
}

// unmount takes away what is mounted at a folder, if anything is.
func unmount(at string, flags ...string) {
	b, _ := os.ReadFile("/proc/self/mounts")
	if !strings.Contains(string(b), " "+at+" ") {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "umount", append(flags, at)...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "lab: umount %s: %v: %s\n", at, err, out)
	}
}
