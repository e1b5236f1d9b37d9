//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine"
	"bipfs/engine/control"
	"bipfs/fs"
)

// doctorCommand is `bipfs doctor`.
type doctorCommand struct {
	Data    string `help:"The data folder that is looked at (default: that of bipfs mount)." placeholder:"DIR" type:"path"`
	Control string `help:"Look for control sockets in this folder (default: $$XDG_RUNTIME_DIR/bipfs, root: /run/bipfs)." placeholder:"DIR" type:"path"`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// A finding is one thing that was looked at, and what to do about it.
type finding struct {
	About string `json:"about"`
	State string `json:"state"`
	Text  string `json:"text"`
}

// States of a finding. Only a failure keeps bipfs from working.
const (
	fine    = "ok"
	warning = "warning"
	failure = "error"
)

// report is what `bipfs doctor --json` prints.
type report struct {
	OK       bool      `json:"ok"` // nothing keeps bipfs from working
	Findings []finding `json:"findings"`
}

// Run looks at everything.
func (c *doctorCommand) Run(s streams) error {
	dir, err := dataPath(c.Data)
	if err != nil {
		return err
	}
	r := report{OK: true}
	r.kernel()
	r.mounting()
	r.files()
	r.data(dir)
	r.reached(context.Background(), dir, c.Control)
	if c.JSON {
		var b []byte
		if b, err = json.MarshalIndent(r, "", "  "); err == nil {
			_, err = fmt.Fprintf(s.out, "%s\n", b)
		}
	} else {
		err = r.print(s.out)
	}
	if err != nil {
		return err
	}
	if !r.OK {
		return exitCode(exitFailed)
	}
	return nil
}

func (r *report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.About, shown(f.Text))
	}
	return w.Flush()
}

// add notes what was looked at: text if it is fine, else err.
func (r *report) add(about, bad, text string, err error) {
	f := finding{about, fine, text}
	if err != nil {
		f.State, f.Text = bad, sentence(err)
		r.OK = r.OK && bad != failure
	}
	r.Findings = append(r.Findings, f)
}

func (r *report) kernel() {
	release, serious, err := fs.Release()
	bad := warning
	if serious {
		bad = failure
	}
	r.add("kernel", bad, "Linux "+release, err)
}

// mounting is what a mount takes.
func (r *report) mounting() {
	r.add("/dev/fuse", failure, "it can be opened", fs.Device())
	privileged := fs.Privileged()
	if privileged == nil {
		r.add("fusermount3", failure, "it is not needed by who has CAP_SYS_ADMIN", nil)
	} else {
		path, err := fs.Fusermount()
		r.add("fusermount3", failure, path, err)
		r.add("/etc/fuse.conf", warning, "user_allow_other: -o allow_other is allowed", fs.Others())
	}
	r.add("passthrough", warning, "complete files are read by the kernel itself", privileged)
}

func (r *report) files() {
	now, most := engine.MostPeers()
	var err error
	if now < most {
		err = fmt.Errorf("the limit on open files leaves %d peers of %d: raise it (ulimit -n %d, LimitNOFILE=)", now, most, 2*most)
	}
	r.add("open files", warning, fmt.Sprintf("enough for %d peers", most), err)
}

// data is the data folder, and what its file system lacks.
func (r *report) data(dir string) {
	x, err := engine.Examine(dir)
	text := fmt.Sprintf("%s, %s free", dir, figure.Bytes(x.Free))
	if _, err := os.Stat(dir); err != nil {
		text = fmt.Sprintf("%s will be made, %s free", dir, figure.Bytes(x.Free))
	}
	r.add("data folder", failure, text, err)
	if err != nil {
		return
	}
	for _, w := range x.Warnings {
		r.add("data folder", warning, "", errors.New(w))
	}
	switch x.Kind {
	case "":
	case "tmpfs", "ramfs":
		r.add("data folder", warning, "", fmt.Errorf("%s is in memory (%s), and empty after a restart: choose another with --data", dir, x.Kind))
	default:
		r.add("data folder", warning, "", fmt.Errorf("%s is not on a disk of this machine (%s): it is slow, and may be gone; choose another with --data", dir, x.Kind))
	}
	if keep, err := (engineFlags{}).keepFree(existing(dir)); err == nil && x.Free < keep {
		r.add("free space", warning, "", fmt.Errorf("%s are free, and bipfs stores nothing below %s: reads go on from the network; free some space, or lower --keep-free", figure.Bytes(x.Free), figure.Bytes(keep)))
	}
}

// existing is dir, or the folder that it would be made in.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// reached is whether peers come in: as the mount knows that runs with this data, or
// else as far as this machine goes.
func (r *report) reached(ctx context.Context, dir, folder string) {
	for _, found := range control.Find(ctx, controlFolder(folder, dir), filepath.Join(dir, "control")) {
		if found.Status.Data != dir {
			continue
		}
		r.add("mount", failure, fmt.Sprintf("%s is served by pid %d", found.Status.Mountpoint, found.Status.PID), nil)
		text, err := incoming(ctx, found)
		r.add("peers", warning, text, err)
		return
	}
	x, err := engine.Examine(dir)
	if err != nil {
		return // it has been said
	}
	text := "a port can be listened at; whether others reach it shows when something is mounted"
	if x.Port != 0 {
		text = fmt.Sprintf("port %d can be listened at; whether others reach it shows when something is mounted", x.Port)
	}
	r.add("peers", warning, text, engine.Listenable(ctx, x.Port))
}

// incoming looks for a peer that has come in.
func incoming(ctx context.Context, found control.Found) (text string, err error) {
	var all control.List
	if err := found.Get(ctx, "torrents", &all); err != nil {
		return "", err
	}
	peers := 0
	for _, t := range all.Torrents {
		var list control.PeerList
		if t.Peers == 0 || found.Get(ctx, "torrents/"+t.Infohash+"/peers", &list) != nil {
			continue
		}
		for _, p := range list.Peers {
			if p.Source == "incoming" {
				return "others reach this machine: " + p.Address + " has come in", nil
			}
		}
		peers += len(list.Peers)
	}
	if peers == 0 {
		return "nobody is connected, so nobody can tell whether others reach this machine", nil
	}
	return "", fmt.Errorf("none of %d peers has come in by itself: if that lasts, let the port through in the router or firewall; reading works without", peers)
}
