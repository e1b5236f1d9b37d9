//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mount(8) runs mount.bipfs for a line of fstab(5) whose type is bipfs:
//
//	mount.bipfs SPEC DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
//
// SPEC is a torrent, or bipfs or none. OPTIONS are those of -o of `bipfs mount`, flags
// of it without their dashes (disk=200GiB, no-upload), setuid=USER, and what mount(8)
// has for itself.

// isMountProgram reports whether the program was called by mount(8), which makes the
// name of the program from the type. A symbolic link is enough.
func isMountProgram(argv0 string) bool {
	name := filepath.Base(argv0)
	return name == "mount.bipfs" || name == "mount.fuse.bipfs"
}

// Exit codes of mount(8).
const (
	mountUsage  = 1
	mountFailed = 32
)

// fstabLine is what mount.bipfs is asked to do.
type fstabLine struct {
	spec, dir string
	fake      bool     // everything but the mount
	verbose   bool     //
	sloppy    bool     // options that are not known are left out
	options   []string // one by one
	account   *account // whom the daemon is to run as; nil: this user
	flags     []string // for `bipfs mount`
	unknown   []string // options that were left out
}

// account is a user of the system.
type account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

// runMountProgram is mount.bipfs.
func runMountProgram(args []string, s streams) int {
	l, err := parseFstabLine(args)
	if err == nil {
		err = l.read(os.Geteuid())
	}
	var m *mountCommand
	if err == nil {
		// The configuration is that of the user who the daemon runs as, and is read there.
		m, err = parseMount(l.command(), nil, false)
	}
	if err != nil {
		complain(s.err, err)
		return mountUsage
	}
	if l.verbose {
		fmt.Fprintf(s.out, "bipfs %s\n", strings.Join(l.command(), " "))
		for _, o := range l.unknown {
			fmt.Fprintf(s.out, "left out: %s\n", o)
		}
	}
	if l.fake {
		return 0
	}
	if err := l.mount(m, s); err != nil {
		complain(s.err, err)
		return mountFailed
	}
	return 0
}

// parseFstabLine reads the arguments of mount.bipfs.
func parseFstabLine(args []string) (l fstabLine, err error) {
	var words []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' {
			words = append(words, arg)
			continue
		}
		for j := 1; j < len(arg); j++ { // -vn, -oro
			switch arg[j] {
			case 's':
				l.sloppy = true
			case 'f':
				l.fake = true
			case 'v':
				l.verbose = true
			case 'n': // there is no mtab
			case 'o', 't', 'N':
				value := arg[j+1:]
				if value == "" {
					if i++; i == len(args) {
						return l, fmt.Errorf("-%c needs a value", arg[j])
					}
					value = args[i]
				}
				if arg[j] == 'o' {
					l.options = append(l.options, strings.Split(value, ",")...)
				}
				if arg[j] == 'N' {
					return l, errors.New("-N: mount in another namespace is for mount(8) without a program of ours")
				}
				j = len(arg)
			default:
				return l, fmt.Errorf("-%c is not a flag of mount.bipfs", arg[j])
			}
		}
	}
	if len(words) != 2 {
		return l, errors.New("mount.bipfs SPEC DIR [-sfnv] [-o OPTIONS] is what mount(8) calls; see bipfs mount --help")
	}
	l.spec, l.dir = words[0], words[1]
	return l, nil
}

// notOurs are options that say something to mount(8), systemd, or the kernel of other
// file systems, and nothing to us: nosuid and nodev always hold, access times never
// change. Those that begin with x- or X- are of others by their nature.
var notOurs = strings.Fields(`defaults auto noauto nofail _netdev user nouser users owner group
	rw exec suid nosuid dev nodev sync async dirsync atime noatime diratime nodiratime
	relatime norelatime strictatime nostrictatime lazytime nolazytime mand nomand silent loud`)

// read makes flags of the options.
func (l *fstabLine) read(euid int) error {
	known := settable(newModel())
	for _, o := range l.options {
		key, value, hasValue := strings.Cut(o, "=")
		switch {
		case o == "", slices.Contains(notOurs, key), strings.HasPrefix(o, "x-"), strings.HasPrefix(o, "X-"), key == "comment":
		case key == "setuid":
			if err := l.setuid(value, euid); err != nil {
				return err
			}
		case slices.Contains(fileSystemOptions, key):
			l.flags = append(l.flags, "-o", o)
		case known[key] != nil && key != "option" && (hasValue || known[key].IsBool()):
			l.flags = append(l.flags, "--"+o)
		case known[key] != nil && key != "option":
			return fmt.Errorf("-o %s needs a value: %s=%s", key, key, known[key].FormatPlaceHolder())
		case l.sloppy:
			l.unknown = append(l.unknown, o)
		default:
			return fmt.Errorf("-o %s is not an option: it is neither one of mount(8) nor of -o of bipfs mount nor a flag of that", shortened(o))
		}
	}
	return nil
}

// setuid looks up whom the daemon is to run as.
func (l *fstabLine) setuid(name string, euid int) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("-o setuid=%s: there is no such user", shortened(name))
		}
	}
	a, err := accountOf(u)
	if err != nil {
		return err
	}
	switch {
	case int(a.uid) == euid:
		return nil
	case euid != 0:
		return fmt.Errorf("-o setuid=%s: only root may run it as somebody else", name)
	}
	l.account = a
	return nil
}

func accountOf(u *user.User) (*account, error) {
	a := &account{name: u.Username, home: u.HomeDir}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("the groups of %s: %w", u.Username, err)
	}
	for _, field := range []struct {
		to *uint32
		is string
	}{{&a.uid, u.Uid}, {&a.gid, u.Gid}} {
		n, err := strconv.ParseUint(field.is, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the user %s has no number: %w", u.Username, err)
		}
		*field.to = uint32(n)
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(n))
		}
	}
	return a, nil
}

// command is the command line of the daemon, without the program.
func (l *fstabLine) command() []string {
	args := append([]string{"mount"}, l.flags...)
	args = append(args, "--", l.dir)
	if l.spec != "bipfs" && l.spec != "none" {
		args = append(args, l.spec)
	}
	return args
}
