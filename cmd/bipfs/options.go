//go:build linux

package main

import (
	"strconv"
	"strings"

	"bipfs/fs"
)

// mountOptions reads the values of -o: OPT[,OPT…], as mount(8) has them.
func mountOptions(values []string) (fs.Options, error) {
	var o fs.Options
	for _, value := range values {
		for opt := range strings.SplitSeq(value, ",") {
			if opt == "" {
				continue
			}
			if err := mountOption(&o, opt); err != nil {
				return o, err
			}
		}
	}
	if o.AllowOther && o.AllowRoot {
		return o, usagef("-o allow_other and allow_root exclude each other")
	}
	return o, nil
}

// fileSystemOptions are the names of the options, without their values.
var fileSystemOptions = strings.Fields("allow_other allow_root uid gid umask fmask dmask ro noexec nonempty")

func mountOption(o *fs.Options, opt string) error {
	switches := map[string]*bool{
		"allow_other": &o.AllowOther, "allow_root": &o.AllowRoot,
		"ro": &o.ReadOnly, "noexec": &o.NoExec, "nonempty": &o.NonEmpty,
	}
	if set := switches[opt]; set != nil {
		*set = true
		return nil
	}
	key, value, _ := strings.Cut(opt, "=")
	switch key {
	case "uid", "gid":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return usagef("-o %s: not a number: %q", key, value)
		}
		id := uint32(n)
		if key == "uid" {
			o.UID = &id
		} else {
			o.GID = &id
		}
		return nil
	case "umask", "fmask", "dmask":
		n, err := strconv.ParseUint(value, 8, 32)
		if err != nil || n > 0o777 {
			return usagef("-o %s: not an octal mask up to 777: %q", key, value)
		}
		mask := uint32(n)
		*map[string]*uint32{"umask": &o.Umask, "fmask": &o.Fmask, "dmask": &o.Dmask}[key] = mask
		return nil
	}
	return usagef("-o %s is not an option; known are allow_other, allow_root, uid=, gid=, umask=, fmask=, dmask=, ro, noexec, nonempty", opt)
}
