package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A kind is what a system does with a torrent.
type kind int

const (
	mounts    kind = iota // shows it as files
	downloads             // stores it in a folder and ends
)

// system is a client: bipfs, or a peer that is measured beside it.
type system struct {
	name string
	kind kind
	// found is whether it is installed.
	found func() bool
	// command runs it in the foreground over a source: a mount at, with its data
	// below data; or a download into at.
	command func(l *lab, source, at, data string) []string
	// below is where a torrent is in the mount.
	below func(c content) string
	// took reads the seconds of a download from what it printed, if it does print
	// them; else they are those of the process.
	took func(printed string) (float64, bool)
}

//go:embed fetch.py
var fetchScript string

// debianPython has the libtorrent of Debian; the first python3 of a PATH may not.
const debianPython = "/usr/bin/python3"

func installed(program string) func() bool {
	return func() bool {
		_, err := exec.LookPath(program)
		return err == nil
	}
}

// memory is the --memory of bipfs: its default where a machine has a GiB or more.
const memory = "256MiB"

// systems are all that the laboratory knows.
var systems = []system{
	{name: "bipfs", kind: mounts, found: func() bool { return true },
		command: func(l *lab, source, at, data string) []string {
			return slices.Concat([]string{l.bipfs, "mount", "--data", data, "--listen", clientAddress + ":6881", "--memory", memory}, l.flags, []string{at, source})
		},
		below: func(c content) string { // every torrent is a folder
			if c.single {
				return filepath.Join(c.name, c.name)
			}
			return c.name
		}},
	{name: "btfs", kind: mounts, found: installed("btfs"),
		command: func(_ *lab, source, at, data string) []string {
			return []string{"btfs", "-f", "--data-directory=" + data, source, at}
		},
		below: func(c content) string { return c.name }},
	{name: "fetch", kind: downloads, found: func() bool { return true },
		command: func(l *lab, source, at, _ string) []string {
			return []string{l.bipfs, "fetch", "--listen", clientAddress + ":6881", "--memory", memory, "--output", at, source}
		}},
	{name: "libtorrent", kind: downloads,
		found: func() bool { return exec.Command(debianPython, "-c", "import libtorrent").Run() == nil },
		command: func(_ *lab, source, at, _ string) []string {
			return []string{debianPython, "-c", fetchScript, source, at}
		},
		took: func(printed string) (float64, bool) {
			_, rest, ok := strings.Cut(printed, "seconds ")
			if !ok {
				return 0, false
			}
			s, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return s, err == nil
		}},
	{name: "aria2", kind: downloads, found: installed("aria2c"),
		command: func(_ *lab, source, at, _ string) []string {
			return []string{"aria2c", "--dir=" + at, "--seed-time=0", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
				"--file-allocation=none", "--listen-port=6881", "--summary-interval=0", "--console-log-level=warn", "--no-conf", source}
		}},
	{name: "webtorrent", kind: downloads, found: installed("webtorrent"),
		command: func(_ *lab, source, at, _ string) []string {
			return []string{"webtorrent", "download", source, "--out", at, "--quiet"}
		}},
}

// choose is the systems of a list of names; "" is all that are installed.
func choose(list string) (chosen []system, err error) {
	if list == "" {
		for _, s := range systems {
			if s.found() {
				chosen = append(chosen, s)
			}
		}
		return chosen, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(systems, func(s system) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--sys %s: no such system", name)
		}
		if !systems[i].found() {
			return nil, fmt.Errorf("--sys %s: it is not installed", name)
		}
		chosen = append(chosen, systems[i])
	}
	return chosen, nil
}

// program is the bipfs that is measured: $BIPFS, or ./bipfs as `make build` leaves
// it.
func program() (string, error) {
	at := os.Getenv("BIPFS")
	if at == "" {
		at = "bipfs"
	}
	at, err := filepath.Abs(at)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(at); err != nil {
		return "", fmt.Errorf("%w: `make build` makes it, $BIPFS names another one", err)
	}
	return at, nil
}
