package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// installed is what make install puts below a prefix.
const installed = `bin/bipfs
lib/systemd/system/bipfs@.service
sbin/mount.bipfs
sbin/mount.fuse.bipfs
share/applications/bipfs.desktop
share/bash-completion/completions/bipfs
share/doc/bipfs/examples/config.toml
share/doc/bipfs/examples/srv-torrents.automount
share/doc/bipfs/examples/srv-torrents.mount
share/doc/bipfs/licences
share/fish/vendor_completions.d/bipfs.fish
share/man/man1/bipfs.1
share/man/man8/mount.bipfs.8
share/systemd/user/bipfs.service
share/zsh/site-functions/_bipfs`

// makeInstall runs it.
func makeInstall(t *testing.T, variables ...string) {
	t.Helper()
	need(t, "make", "install", "sed")
	run(t, longEnough, append([]string{"sh", "-c", `umask 077; exec "$@"`, "sh", "make", "--no-print-directory", "-C", "..", "install", "PROGRAM=" + bipfs}, variables...)...)
}

// filesBelow are the files and links below a folder, by their names.
func filesBelow(t *testing.T, root string) []string {
	t.Helper()
	return strings.Fields(sh(t, longEnough, `cd "$1" && find . ! -type d | sed 's|^\./||' | LC_ALL=C sort`, root).out)
}

// TestInstall: the files are where they belong, below DESTDIR for a package and below
// a prefix for one user, and those who read them have nothing against them.
func TestInstall(t *testing.T) {
	t.Parallel()
	pkg := tempDir(t)
	makeInstall(t, "DESTDIR="+pkg, "PREFIX=/usr", "UNITDIR=/usr/lib/systemd/system")
	want := strings.Split(installed, "\n")
	if got := filesBelow(t, filepath.Join(pkg, "usr")); !slices.Equal(got, want) {
		t.Errorf("installed is\n%s", strings.Join(got, "\n"))
	}
	if entries, err := os.ReadDir(pkg); err != nil || len(entries) != 1 {
		t.Errorf("outside of the prefix: %v, %v", entries, err)
	}
	for _, name := range []string{"mount.bipfs", "mount.fuse.bipfs"} {
		if to, err := os.Readlink(filepath.Join(pkg, "usr/sbin", name)); err != nil || to != "/usr/bin/bipfs" {
			t.Errorf("%s leads to %s, %v", name, to, err)
		}
	}
	for _, name := range want {
		st, err := os.Lstat(filepath.Join(pkg, "usr", name))
		if err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		switch {
		case name == "bin/bipfs":
			mode = 0o755
		case st.Mode()&os.ModeSymlink != 0:
			continue
		}
		if st.Mode() != mode || st.Size() == 0 {
			t.Errorf("%s has mode %v and %d bytes", name, st.Mode(), st.Size())
		}
		if b, err := os.ReadFile(filepath.Join(pkg, "usr", name)); err != nil || name != "bin/bipfs" && strings.Contains(string(b), "@BINDIR@") {
			t.Errorf("%s is not made: %v", name, err)
		}
	}

	prefix := filepath.Join(tempDir(t), "local")
	makeInstall(t, "PREFIX="+prefix)
	if got := filesBelow(t, prefix); !slices.Equal(got, want) {
		t.Errorf("for one user installed is\n%s", strings.Join(got, "\n"))
	}
	runtime := tempDir(t)
	check := func(file string, program string, args ...string) {
		t.Helper()
		path := filepath.Join(prefix, file)
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s is not checked: %v", file, err)
			return
		}
		if r := try(longEnough, append(append([]string{"env", "XDG_RUNTIME_DIR=" + runtime, program}, args...), path)...); r.code != 0 || r.out != "" || strings.Contains(r.err, filepath.Base(path)) {
			t.Errorf("%s: %v", file, r)
		}
	}
	check("lib/systemd/system/bipfs@.service", "systemd-analyze", "verify", "--man=no")
	check("share/systemd/user/bipfs.service", "systemd-analyze", "verify", "--man=no", "--user")
	check("share/doc/bipfs/examples/srv-torrents.mount", "systemd-analyze", "verify", "--man=no")
	check("share/doc/bipfs/examples/srv-torrents.automount", "systemd-analyze", "verify", "--man=no")
	check("share/applications/bipfs.desktop", "desktop-file-validate")
	check("share/bash-completion/completions/bipfs", "bash", "-n")
	check("share/zsh/site-functions/_bipfs", "zsh", "-n")
	check("share/fish/vendor_completions.d/bipfs.fish", "fish", "--no-execute")
	// The example says nothing that is wrong, also when all of it holds.
	example := filepath.Join(prefix, "share/doc/bipfs/examples/config.toml")
	sh(t, longEnough, `sed -i 's/^#\([a-z]\)/\1/; s/^listen/#&/' "$1" && XDG_CONFIG_HOME="$2" "$2/bin/bipfs" config check "$1"`, example, prefix)
}

// TestSameBytes: two builds of one source in different folders are the same program.
func TestSameBytes(t *testing.T) {
	long(t) // once is enough, and the race detector's would be another program
	t.Parallel()
	need(t, "make", "tar")
	var built []string
	for _, name := range []string{"a", "another folder"} {
		dir := filepath.Join(tempDir(t), name)
		sh(t, longEnough, `mkdir -p "$2"; cd "$1"; tar cf - go.mod go.sum VERSION Makefile cmd fs engine selection wire diskcache handshake integration/modfile | tar xf - -C "$2"`,
			"..", dir)
		if r := try(4*longEnough, "make", "--no-print-directory", "-C", dir, "build"); r.code != 0 {
			t.Fatal(r)
		}
		built = append(built, filepath.Join(dir, "bipfs"))
	}
	run(t, longEnough, "cmp", built[0], built[1])
	if out := run(t, longEnough, built[0], "version").out; !strings.HasPrefix(out, "bipfs ") || strings.Contains(out, "dev") {
		t.Errorf("the version is %s", fmt.Sprint(out))
	}
}
