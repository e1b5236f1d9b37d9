package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of the laboratory. Its namespaces are its own, so they are always
// the same.
const (
	clientAddress  = "10.90.0.1"
	trackerAddress = "10.90.0.2:6969"
	width          = "/16"
	announceURL    = "http://" + trackerAddress + "/announce"
)

// seederAddress is that of seeder i, from 0: each has an address of its own, as
// clients take one peer from an address.
func seederAddress(i int) string { return fmt.Sprintf("10.90.1.%d:6881", i+1) }

// mostSeeders is how many addresses the swarm's device has.
const mostSeeders = 20

// commandTime is how long a command may take that needs no network.
const commandTime = 10 * time.Second

// names begins the name of every namespace of the laboratory; the pid follows, and
// which of the two it is.
const names = "bipfs-lab-"

// ours begins the names of those of this run.
func ours() string { return names + strconv.Itoa(os.Getpid()) + "-" }

// namespaces are the two networks, joined by a veth pair:
//
//	client: 10.90.0.1 ════ swarm: 10.90.0.2 (tracker), 10.90.1.1 … (seeders)
type namespaces struct{ client, swarm string }

// newNamespaces makes them. What a run has left that was killed is removed first.
func newNamespaces() (*namespaces, error) {
	sweep()
	n := &namespaces{ours() + "client", ours() + "swarm"}
	for _, name := range []string{n.client, n.swarm} {
		if err := ip("", "netns", "add", name); err != nil {
			n.close()
			return nil, err
		}
	}
	if err := errors.Join(ip(n.clientSide(), "-n", n.client, "-batch", "-"), ip(n.swarmSide(), "-n", n.swarm, "-batch", "-")); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// clientSide is the commands for the client's end of the pair.
func (n *namespaces) clientSide() string {
	return "link set lo up\n" +
		"link add eth type veth peer name eth netns " + n.swarm + "\n" +
		"address add " + clientAddress + width + " dev eth\n" +
		"link set eth up\n"
}

// swarmSide is those for the other end.
func (n *namespaces) swarmSide() string {
	tracker, _, _ := strings.Cut(trackerAddress, ":")
	all := "link set lo up\naddress add " + tracker + width + " dev eth\n"
	for i := range mostSeeders {
		seeder, _, _ := strings.Cut(seederAddress(i), ":")
		all += "address add " + seeder + width + " dev eth\n"
	}
	return all + "link set eth up\n"
}

func (n *namespaces) close() {
	for _, name := range []string{n.client, n.swarm} {
		_ = ip("", "netns", "delete", name)
	}
}

// sweep removes namespaces whose laboratory is no more.
func sweep() {
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		rest, lab := strings.CutPrefix(e.Name(), names)
		if !lab {
			continue
		}
		pid, _, _ := strings.Cut(rest, "-")
		if _, err := os.Stat("/proc/" + pid); os.IsNotExist(err) {
			_ = ip("", "netns", "delete", e.Name())
		}
	}
}

// ip runs ip(8) with commands on its standard input.
func ip(commands string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// inside starts a process in a network namespace, or in this one if name is "".
// It leaves the mounts where all see them, unlike `ip netns exec`.
func inside(name string, start func() error) error {
	if name == "" {
		return start()
	}
	there, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace %s: %w", name, err)
	}
	err = start() // the kernel gives the new process the namespace of this thread
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // this thread must not be used again
	}
	runtime.UnlockOSThread()
	return err
}
