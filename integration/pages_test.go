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

// pages are those of docs/ whose commands are run as they stand there, in order.
var pages = []string{"QUICKSTART.md", "MEDIA-SERVER.md", "TROUBLESHOOTING.md"}

// commandBlock is what is between fences that say sh.
var commandBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commandsOf are the commands of a page, a script of bash.
func commandsOf(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, block := range commandBlock.FindAllStringSubmatch(string(text), -1) {
		script.WriteString(block[1])
	}
	if script.Len() == 0 {
		t.Fatal("there is no command in it")
	}
	return script.String()
}

// TestPages: every command that the pages tell people to type works, in the order of
// the page, for somebody whose home is empty but for the torrents. It has namespaces of
// its own, which end with all that was started in them.
func TestPages(t *testing.T) {
	t.Parallel()
	needFuse(t)
	needRoot(t)
	need(t, "unshare", "bash")
	film := torrentOf(t, film(t), 256<<10)
	other := torrentOf(t, file(t, "other.bin", 2<<20), 256<<10)
	seeder := scripted(t, manner{}, film, other)
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			home := tempDir(t)
			run(t, 5*time.Second, "cp", film.file, filepath.Join(home, "film.torrent"))
			run(t, 5*time.Second, "cp", other.file, filepath.Join(home, "other.torrent"))
			script := filepath.Join(tempDir(t), "page")
			if err := os.WriteFile(script, []byte("mount -t tmpfs tmpfs /run\n"+commandsOf(t, page)), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-eux", script)
			cmd.Dir = home
			cmd.Env = []string{
				"HOME=" + home, "PATH=" + filepath.Dir(bipfs) + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8",
				"BIPFS_LISTEN=127.0.0.1:0", "BIPFS_PEER=" + seeder.addr, "BIPFS_NO_DHT=true", "BIPFS_NO_PORT_MAP=true",
			}
			p := startCommand(t, "page", cmd)
			if code := p.exits(longEnough); code != 0 {
				t.Errorf("a command of docs/%s fails with %d:\n%s", page, code, p.printed())
			}
		})
	}
}
