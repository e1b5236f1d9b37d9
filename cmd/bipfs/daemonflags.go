package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
)

// daemonFlags are the flags of every command that goes on until it is stopped:
// where its data is, how much of it, and who controls it.
type daemonFlags struct {
	Data             string        `help:"Data and state (default: $$STATE_DIRECTORY, else $$XDG_DATA_HOME/bipfs)." placeholder:"DIR" type:"path"`
	Temporary        bool          `help:"Keep nothing: data and state go at the end."`
	Disk             *Size         `help:"Store so much at most: what was read longest ago gives way (default: all but --keep-free)." placeholder:"SIZE"`
	SeedRatio        float64       `default:"1" help:"A torrent with data seeds until it has given so many times what it got; 0: none seeds (default: 1)." placeholder:"RATIO"`
	SeedTime         time.Duration `default:"24h" help:"Or until it was offered for so long; 0: none seeds (default: 24h)." placeholder:"DUR"`
	PrivateSeedRatio float64       `default:"1" help:"A private torrent seeds, and nothing of it gives way, until it has given so many times what it got (default: 1)." placeholder:"RATIO"`
	PrivateSeedTime  time.Duration `default:"72h" help:"Or until it was offered for so long (default: 72h)." placeholder:"DUR"`
	MaxSeeding       int           `default:"50" help:"Torrents that seed at a time, beside those that are read (default: 50)." placeholder:"N"`
	Control          string        `help:"Folder of the control socket (default: $$XDG_RUNTIME_DIR/bipfs, root: /run/bipfs, else in the data folder)." placeholder:"DIR" type:"path"`
	ControlGroup     string        `help:"Members of this group may control the daemon, too, where the folder lets them in." placeholder:"GROUP"`
}

// check reports what is wrong with them.
func (f *daemonFlags) check() error {
	if f.SeedRatio < 0 || f.SeedTime < 0 || f.MaxSeeding < 0 || math.IsNaN(f.SeedRatio) {
		return usagef("--seed-ratio, --seed-time and --max-seeding are not negative")
	}
	if f.PrivateSeedRatio < 0 || f.PrivateSeedTime < 0 || math.IsNaN(f.PrivateSeedRatio) {
		return usagef("--private-seed-ratio and --private-seed-time are not negative")
	}
	_, err := f.group()
	return err
}

// bounds is how much is stored, and what is given for it.
func (f *daemonFlags) bounds(cfg *engine.Config) {
	cfg.SeedRatio, cfg.SeedTime, cfg.MaxSeeding = f.SeedRatio, f.SeedTime, f.MaxSeeding
	cfg.PrivateSeedRatio, cfg.PrivateSeedTime = f.PrivateSeedRatio, f.PrivateSeedTime
	cfg.Evict, cfg.Disk = true, engine.Unbounded
	if f.Disk != nil {
		cfg.Disk = int64(*f.Disk)
	}
}

// dataFolder is the data folder, and what removes it at the end.
func (f *daemonFlags) dataFolder() (dir string, remove func(), err error) {
	if !f.Temporary {
		dir, err = dataDir(f.Data)
		return dir, func() {}, err
	}
	if f.Data != "" {
		return "", nil, usagef("--temporary keeps nothing, so it takes no --data")
	}
	dir, err = os.MkdirTemp("", "bipfs-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			slog.Error("the temporary folder could not be removed", "dir", dir, "err", err)
		}
	}, nil
}

// controlFolder is the folder of the control socket: the flag, this user's, or
// one in the data folder.
func controlFolder(flag, data string) string {
	if flag != "" {
		return flag
	}
	if dir := control.Dir(); dir != "" {
		return dir
	}
	return filepath.Join(data, "control")
}

// openControl opens the control socket of a mount, or of what is served without
// one. All is as good without it as with it, so that only one that was asked for by
// name is an error.
func (f *daemonFlags) openControl(mountpoint, data string, log *slog.Logger) (*control.Listener, error) {
	gid, err := f.group()
	if err != nil {
		return nil, err
	}
	l, err := control.Listen(controlFolder(f.Control, data), mountpoint, gid)
	if err != nil && f.Control == "" && f.ControlGroup == "" {
		log.Warn("there is no control socket: bipfs ls, add and the like will not find this daemon", "err", err)
		return nil, nil
	}
	return l, err
}

// group is the group of --control-group, by name or number; -1 if there is none.
func (f *daemonFlags) group() (gid int, err error) {
	name := f.ControlGroup
	if name == "" {
		return -1, nil
	}
	if g, err := user.LookupGroup(name); err == nil {
		name = g.Gid
	}
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return -1, usagef("--control-group %s: there is no such group", f.ControlGroup)
	}
	return int(n), nil
}

// placeless is the name by which the control socket of what is served without a
// mount is told from others: its data folder is nobody else's.
func placeless(data string) string { return fmt.Sprintf("%s (no mount)", data) }
