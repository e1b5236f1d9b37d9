package integration

import (
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var updateLicences = flag.Bool("update-licences", false, "write cmd/bipfs/licences.txt anew")

// licenceFiles are what a licence, and what goes with it, is called.
var licenceFiles = []string{"license", "licence", "license.txt", "license.md", "copying", "notice", "patents"}

// unlicensed are modules that come without a licence, of an author who gives their
// siblings under MPL-2.0 or MIT. anacrolix/dht brings them.
var unlicensed = []string{"github.com/anacrolix/multiless", "github.com/anacrolix/sync"}

// linked is a module that the program is made of.
type linked struct{ path, version, dir string }

// linkedModules are those of the program under test.
func linkedModules(t *testing.T) (all []linked) {
	t.Helper()
	info, err := buildinfo.ReadFile(bipfs)
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(run(t, longEnough, "go", "env", "GOROOT").out)
	all = append(all, linked{"bipfs", "", ".."}, linked{"std", "", root})
	for _, m := range info.Deps {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", m.Path).Output()
		if err != nil {
			t.Fatalf("%s: %v", m.Path, err)
		}
		version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		if version != m.Version {
			t.Errorf("%s is linked in version %s, and go.mod has %s", m.Path, m.Version, version)
		}
		all = append(all, linked{m.Path, m.Version, dir})
	}
	return all
}

// texts are the licence of a module, and what else it wants to be said.
func (m linked) texts(t *testing.T) (licence string, more []string) {
	t.Helper()
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.ToLower(e.Name())
		if e.IsDir() || !slices.Contains(licenceFiles, name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(m.dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(strings.ReplaceAll(string(b), "\r\n", "\n")) + "\n"
		if name == "notice" || name == "patents" {
			more = append(more, text)
		} else {
			licence = text
		}
	}
	if licence == "" && slices.Contains(unlicensed, m.path) {
		licence = "The module has no file that says under which licence it is.\n"
	}
	if licence == "" {
		t.Errorf("%s has no licence", m.path)
	}
	return licence, more
}

// identifier is the SPDX identifier of a licence, by what only it says.
func identifier(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("The module has no file"):
		return "NOASSERTION"
	case has("Mozilla Public License, version 2.0"), has("Mozilla Public License Version 2.0"):
		return "MPL-2.0"
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Redistribution and use in source and binary forms") && has("to endorse or promote products"):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return ""
}

// TestLicences: what the program says of its modules is what it is linked with, and
// the texts are those of the modules.
func TestLicences(t *testing.T) {
	var list strings.Builder
	of := map[string][]string{} // the modules of a text
	var order []string
	for _, m := range linkedModules(t) {
		licence, more := m.texts(t)
		id := identifier(licence)
		if id == "" {
			t.Errorf("%s: the licence is none of those that are known:\n%.300s", m.path, licence)
		}
		version := m.version
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(&list, "%s %s %s\n", m.path, version, id)
		for _, text := range append([]string{licence}, more...) {
			if of[text] == nil {
				order = append(order, text)
			}
			of[text] = append(of[text], m.path)
		}
	}
	for _, text := range order {
		fmt.Fprintf(&list, "\n%s\n%s:\n\n%s", strings.Repeat("=", 80), strings.Join(of[text], ", "), text)
	}
	const file = "../cmd/bipfs/licences.txt"
	if *updateLicences {
		if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != list.String() {
		t.Errorf("%s is not of these modules (%v): make licences", file, err)
	}
	if r := run(t, longEnough, bipfs, "version", "--licences"); r.out != list.String() {
		t.Error("bipfs version --licences prints something else")
	}
	spdx := run(t, longEnough, bipfs, "version", "--spdx").out
	if lines := strings.Count(spdx, "\n"); lines != len(linkedModules(t)) || !strings.HasPrefix(list.String(), spdx) {
		t.Errorf("bipfs version --spdx prints %d lines", lines)
	}
}
