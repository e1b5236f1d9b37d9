package main

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoctor: each line says what it is about, and what cannot work is an exit code.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "file", "no folder")
	for _, c := range []struct{ data, state, says string }{
		{dir, fine, dir},
		{filepath.Join(dir, "a", "b"), fine, "will be made"},
		{file, failure, file},
	} {
		code, out, stderr := bipfs(t, "", "doctor", "--data", c.data, "--control", t.TempDir(), "--json")
		var r report
		if err := json.Unmarshal([]byte(out), &r); err != nil || stderr != "" {
			t.Fatalf("%v: %s%s", err, out, stderr)
		}
		if r.OK != (code == 0) || !r.OK && code != exitFailed {
			t.Errorf("%s: exit code %d: %s", c.data, code, out)
		}
		seen, bad := map[string]bool{}, false
		for _, f := range r.Findings {
			if bad = bad || f.State == failure; f.Text == "" || f.About == "" {
				t.Errorf("%+v says nothing", f)
			}
			if first := !seen[f.About]; first && f.About == "data folder" && (f.State != c.state || !strings.Contains(f.Text, c.says)) {
				t.Errorf("%s: %+v", c.data, f)
			}
			seen[f.About] = true
		}
		if bad == r.OK {
			t.Errorf("%s: ok is %v: %s", c.data, r.OK, out)
		}
		for _, about := range []string{"kernel", "/dev/fuse", "fusermount3", "passthrough", "open files", "data folder"} {
			if !seen[about] {
				t.Errorf("nothing about %s: %s", about, out)
			}
		}
	}
	_, out, _ := bipfs(t, "", "doctor", "--data", dir, "--control", t.TempDir())
	if !strings.Contains(out, "  kernel  ") || strings.Count(out, "\n") < 6 {
		t.Errorf("it prints %s", out)
	}
}

// TestReport: only a failure is one.
func TestReport(t *testing.T) {
	r := report{OK: true}
	r.add("a", failure, "good", nil)
	r.add("b", warning, "", errors.New("bad,\nand what to do"))
	if !r.OK || r.Findings[0] != (finding{"a", fine, "good"}) || r.Findings[1] != (finding{"b", warning, "bad, and what to do"}) {
		t.Errorf("%+v", r)
	}
	if r.add("c", failure, "", errors.New("worse")); r.OK {
		t.Error("a failure is fine")
	}
}
