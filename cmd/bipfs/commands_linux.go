package main

import (
	"os"
	"path/filepath"

	"bipfs/fs"
)

// mountCommands are those that need FUSE as Linux has it.
type mountCommands struct {
	Mount   mountCommand   `cmd:"" help:"Mount torrents as folders."`
	Unmount unmountCommand `cmd:"" aliases:"umount" help:"Unmount a mount point."`
	Upgrade upgradeCommand `cmd:"" help:"Have this program serve a mount that was made with -d, in the place of the one that does."`
	Open    openCommand    `cmd:"" help:"Add a torrent and open its folder, or its film, on the desktop; the mount is started if none runs."`
	Config  configCommand  `cmd:"" help:"Look at the configuration."`
	Doctor  doctorCommand  `cmd:"" help:"Look for what keeps bipfs from working well on this machine, and say what to do."`
	Demo    demoCommand    `cmd:"" help:"Mount and read a private swarm on this machine, with figures."`
}

// other runs what this process is to be in the place of the command line: mount.bipfs,
// or the hand of a mount.
func other(s streams) (code int, is bool) {
	// Who was started by way of /proc would be called exe, or by a number, in top and pgrep.
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
	switch {
	case fs.IsHand():
		return fs.Hand(), true
	case isMountProgram(os.Args[0]):
		return runMountProgram(os.Args[1:], s), true
	}
	return 0, false
}
