package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPages types what the pages for people tell them to type: all of README.md and of
// docs/, each page in its order, for somebody whose home has two torrents and nothing
// else. What is typed stands between fences that say sh, or, behind a $, console.
var (
	pageBlock = regexp.MustCompile("(?ms)^```(sh|console)\n(.*?)^```$")
	remark    = regexp.MustCompile(`\s+# .*$`)
)

// instead is what is typed in the place of a command that cannot be run here, and why.
var instead = []struct{ page, command, types, why string }{
	{"README.md", "make build", ":", "TestSameBytes builds, and takes a minute"},
	{"README.md", "make demo", ":", "it builds; the page runs what it runs then"},
	{"README.md", "make test", ":", "this is a part of it"},
	{"README.md", "make bench-peers", ":", "it takes an hour"},
	{"INSTALL.md", "make build", ":", "as in README.md"},
	{"INSTALL.md", "sudo make install", "make install", "there is no sudo; it is root already"},
	{"INSTALL.md", "systemctl --user enable --now bipfs", ":", "no systemd runs here; TestUnits runs it under one"},
	{"INSTALL.md", "docker build -t bipfs -f cmd/bipfs/dist/Dockerfile .", ":", "no docker runs; TestContainer does what it would"},
	{"INSTALL.md", `docker run -d --name bipfs --restart unless-stopped --device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined -p 6881:6881 -p 6881:6881/udp -v bipfs:/data -v /srv/bipfs:/mnt:rshared bipfs`, ":", "the same"},
	{"INSTALL.md", "docker exec bipfs /bin/bipfs add 'magnet:?xt=urn:btih:…'", ":", "the same"},
	{"COMMANDS.md", `inotifywait -m -r -e close_write --format '%w%f' mnt | while read -r f; do cp "$f" done/; done`,
		`timeout 1 inotifywait -m -r -e close_write --format '%w%f' mnt | while read -r f; do cp "$f" done/; done`, "it goes on until Ctrl-C; TestInotifyLoop has it copy"},
	{"HTTP.md", "bipfs mount -d --http 127.0.0.1:8080 mnt film.torrent",
		`bipfs mount -d --http 127.0.0.1:0 mnt film.torrent; PAGE=$(bipfs status | sed -n 's/^page *//p'); TOKEN=${PAGE#*token=}; ADDR=${PAGE#http://}; ADDR=${ADDR%%/*}`,
		"the port may be another's; and what follows needs $ADDR and $TOKEN"},
}

// before is what a page takes for granted.
var before = map[string]string{
	"API.md":  `mkdir mnt; bipfs mount -d mnt; SOCKET=$(echo /run/bipfs/*.sock)`,
	"HTTP.md": `INFOHASH=$FILM`,
}

// aside has the pages see a machine of their own: what is written to /usr, /run and /srv
// goes with the namespace.
const aside = `mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/usr,upperdir=/run/upper,workdir=/run/work overlay /usr
mount -t tmpfs tmpfs /srv
`

// typedOn are the commands of a page, a script of bash; "" if it has none. Commands of
// the table that are on it are struck off.
func typedOn(t *testing.T, path string, left map[string]bool) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range pageBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[2], "\\\n ", "")) {
			if block[1] == "console" {
				var is bool
				if line, is = strings.CutPrefix(line, "$ "); !is {
					continue
				}
			}
			script.WriteString(typed(filepath.Base(path), line, left))
		}
	}
	return script.String()
}

// typed is a line of a page as it is run.
func typed(page, line string, left map[string]bool) string {
	command := strings.Join(strings.Fields(remark.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")), " ")
	for _, o := range instead {
		if o.page == page && o.command == command {
			delete(left, o.page+": "+o.command)
			return o.types + "\n"
		}
	}
	return line
}

func TestPages(t *testing.T) {
	once(t)
	t.Parallel()
	needFuse(t)
	needRoot(t)
	need(t, "unshare", "bash", "curl", "inotifywait", "make", "update-desktop-database", "xdg-mime")
	film := torrentOf(t, film(t), 256<<10)
	other := torrentOf(t, file(t, "other.bin", 2<<20), 256<<10)
	seeder := scripted(t, manner{}, film, other)
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	left := map[string]bool{}
	for _, o := range instead {
		left[o.page+": "+o.command] = true
	}
	for _, path := range append(pages, "../README.md") {
		page := filepath.Base(path)
		commands := typedOn(t, path, left)
		if commands == "" {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			home := homeOf(t, film, other)
			script := filepath.Join(tempDir(t), "page")
			if err := os.WriteFile(script, []byte(aside+before[page]+"\n"+commands), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-eux", script)
			cmd.Dir = home
			cmd.Env = []string{
				"HOME=" + home, "PATH=" + filepath.Join(home, "stand-ins") + ":" + filepath.Dir(bipfs) + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8",
				"BIPFS_LISTEN=127.0.0.1:0", "BIPFS_PEER=" + seeder.addr, "BIPFS_NO_DHT=true", "BIPFS_NO_PORT_MAP=true",
				"INFOHASH=" + other.hash(), "FILM=" + film.hash(), "FILE=other.torrent",
			}
			p := startCommand(t, "page", cmd)
			if code := p.exits(longEnough); code != 0 {
				t.Errorf("a command of %s fails with %d:\n%s", page, code, p.printed())
			}
		})
	}
	for command := range left {
		t.Errorf("no page has %s", command)
	}
}

// homeOf is a home with the torrents, with what is installed of the sources of bipfs,
// and with stand-ins for programs that need a screen.
func homeOf(t *testing.T, all ...*torrent) string {
	t.Helper()
	home := tempDir(t)
	for _, to := range all {
		name, _, _ := strings.Cut(filepath.Base(to.content), ".")
		run(t, 5*time.Second, "cp", to.file, filepath.Join(home, name+".torrent"))
	}
	sh(t, 5*time.Second, `mkdir -p "$2/cmd/bipfs" "$2/stand-ins"
		cp -r ../cmd/bipfs/dist "$2/cmd/bipfs"; cp ../Makefile ../VERSION "$2"; ln -s "$1" "$2/bipfs"
		printf '#!/bin/sh\nexec cat "$1" >/dev/null\n' >"$2/stand-ins/mpv"
		printf '#!/bin/sh\nexec ls "$1"\n' >"$2/stand-ins/xdg-open"
		chmod +x "$2/stand-ins/"*`, bipfs, home)
	return home
}
