package main

import (
	_ "embed"
	"fmt"
	"strings"
)

// licences is the list of the modules that are linked, with their versions and SPDX
// identifiers, and the texts of their licences. A test in integration/ keeps it, and
// makes it anew (make licences).
//
//go:embed licences.txt
var licences string

type versionCommand struct {
	Licences bool `help:"Print what the program is made of, and the licences of that."`
	SPDX     bool `name:"spdx" help:"Print what the program is made of: a module, its version and its SPDX identifier in each line."`
}

// Run prints.
func (c versionCommand) Run(s streams) (err error) {
	switch {
	case c.Licences:
		_, err = fmt.Fprint(s.out, licences)
	case c.SPDX:
		_, err = fmt.Fprint(s.out, spdx())
	default:
		_, err = fmt.Fprintln(s.out, "bipfs", version)
	}
	return err
}

// spdx is the list at the head of the licences: its first paragraph.
func spdx() string {
	list, _, _ := strings.Cut(licences, "\n\n")
	return list + "\n"
}
