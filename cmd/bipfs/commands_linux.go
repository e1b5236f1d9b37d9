package main

// mountCommands are those that need FUSE as Linux has it.
type mountCommands struct {
	Mount   mountCommand   `cmd:"" help:"Mount torrents as folders."`
	Unmount unmountCommand `cmd:"" aliases:"umount" help:"Unmount a mount point."`
	Demo    demoCommand    `cmd:"" help:"Mount and read a private swarm on this machine, with figures."`
}
