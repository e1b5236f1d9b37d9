package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(roleEnv); name != "" {
		os.Exit(play(name, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// needLab skips where there can be no laboratory.
func needLab(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	for _, program := range []string{"ip", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip(err)
	}
	probe := ours() + "probe"
	if err := ip("", "netns", "add", probe); err != nil {
		t.Skip(err)
	}
	if err := ip("", "netns", "delete", probe); err != nil {
		t.Fatal(err)
	}
}

// bipfs is the program that the laboratory measures here: $BIPFS, or ./bipfs as
// `make build` left it, or one that is built. It is the laboratory that is tested,
// so an old one will do.
func bipfs(t *testing.T) string {
	t.Helper()
	if at := os.Getenv("BIPFS"); at != "" {
		return at
	}
	if at, err := filepath.Abs("../../bipfs"); err == nil {
		if _, err := os.Stat(at); err == nil {
			return at
		}
	}
	at := filepath.Join(t.TempDir(), "bipfs")
	build := exec.Command("go", "build", "-trimpath", "-o", at, "bipfs/cmd/bipfs")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bipfs: %v\n%s", err, out)
	}
	return at
}

// TestSmoke runs the laboratory as `make bench-peers` does, with one small
// scenario, and looks at what it leaves.
func TestSmoke(t *testing.T) {
	needLab(t)
	t.Setenv("BIPFS", bipfs(t))
	dir := t.TempDir()
	out, disk, ram := filepath.Join(dir, "out.tsv"), filepath.Join(dir, "disk"), filepath.Join(dir, "ram")
	for _, d := range []string{disk, ram} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var table bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, []string{"--only", "smoke", "--runs", "1", "--sys", "bipfs", "--out", out, "--dir", disk, "--ram", ram}, &table); err != nil {
		t.Fatal(err)
	}
	if text := table.String(); strings.Count(text, "\tok\t") != 2 {
		t.Errorf("the table says\n%s", text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"rate", "longest gap", "peak memory", "processor", "sent", "waste"} {
		if !strings.Contains(string(b), "figure\tsmoke\t0\tbipfs\t"+what+"\t") {
			t.Errorf("%s was not measured:\n%s", what, b)
		}
	}
	clean(t, disk, ram)
}

// TestBrokenOff: a laboratory that is told to stop leaves nothing.
func TestBrokenOff(t *testing.T) {
	needLab(t)
	t.Setenv("BIPFS", "/bin/true") // a client that ends at once: its mount never comes
	disk, ram := t.TempDir(), t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(300*time.Millisecond, func() { cancel(context.Canceled) })
	if err := run(ctx, []string{"--only", "smoke", "--runs", "1", "--sys", "bipfs", "--dir", disk, "--ram", ram}, new(bytes.Buffer)); err == nil {
		t.Error("it says that it has measured all")
	}
	clean(t, disk, ram)
}

// TestStatic: the tree that mounts are measured beside shows what is in the folder.
func TestStatic(t *testing.T) {
	needLab(t)
	l := &lab{ram: t.TempDir()}
	c, err := l.tree(t.Context(), 300, 0, 2*kib)
	if err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(c.original, "big.bin")
	if err := fill(big, 2*mib, 1); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := l.static(c.original, dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, _, err := l.tool(ctx, "diff", "-r", c.original, m.at); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	m.close()
	clean(t, filepath.Join(dir, "static"))
}

// clean fails the test if something is left.
func clean(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("left in %s: %v %v", dir, entries, err)
		}
	}
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ours()) {
			t.Errorf("the network namespace %s is left", e.Name())
		}
	}
	b, _ := os.ReadFile("/proc/self/mounts")
	for _, dir := range dirs {
		if strings.Contains(string(b), dir) {
			t.Errorf("something is mounted below %s", dir)
		}
	}
}

// TestNames: what the command line cannot mean is an error before anything is made.
func TestNames(t *testing.T) {
	for _, args := range [][]string{{"--only", "x"}, {"--sys", "x"}, {"--runs", "0"}, {"smoke"}, {"--fast"}} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	var list bytes.Buffer
	if err := run(t.Context(), []string{"--list"}, &list); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		if !strings.Contains(list.String(), s.name+"\t") || !strings.Contains(string(readme), "`"+s.name+"`") {
			t.Errorf("%s is not listed, or not in the README", s.name)
		}
	}
}

// TestVerdict: medians of values and of ratios, and ok by the median run.
func TestVerdict(t *testing.T) {
	v := &verdict{scenario: "s"}
	for _, r := range []struct{ value, limit float64 }{{90, 100}, {300, 200}, {120, 100}} {
		v.add(row{what: "w", value: r.value, unit: "MB/s", beside: "MB/s b", limit: r.limit, reach: r.limit, rule: "≥ 1.0 ×"})
	}
	if got, want := v.String(), "s\tw\t120 MB/s\t100 MB/s b\t1.20\t≥ 1.0 ×\tok\t3 [90.0..300]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, c := range []struct {
		r    row
		want string
	}{
		{row{value: 0, limit: none, atMost: true, reach: 0, rule: "0"}, "ok"},
		{row{value: 1, limit: none, atMost: true, reach: 0, rule: "0"}, "short"},
		{row{value: math.NaN(), limit: none, atMost: true, reach: 1, rule: "≤ 1"}, "short"}, // it failed
		{row{value: 1, limit: none, reach: none, rule: "≥ 1.0 ×"}, "not measured"},          // its peer did
		{row{value: 1, limit: none, reach: none}, "–"},
	} {
		v := &verdict{}
		v.add(c.r)
		if v.word() != c.want {
			t.Errorf("%+v is %q, want %q", c.r, v.word(), c.want)
		}
	}
}

// TestMedian: of even and odd numbers, and what was not measured is not in it.
func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{4, 2}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{none, 7}, 7}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	if !math.IsNaN(median(nil)) || !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("nothing has a median")
	}
	forty := make([]float64, 40)
	for i := range forty {
		forty[i] = float64(40 - i)
	}
	if quantile(forty, 0.5) != 20 || quantile(forty, 0.99) != 40 || quantile(forty, 1) != 40 {
		t.Errorf("quantiles of 1..40: %v, %v", quantile(forty, 0.5), quantile(forty, 0.99))
	}
}
