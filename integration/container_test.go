package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// An image is what the last stage of the Dockerfile says of the containers that are
// made of it.
type image struct {
	root                   string // its files, and empty folders for what an engine mounts there
	env                    []string
	entry, command, health []string
}

// readImage makes the image as an engine would that builds this program.
func readImage(t *testing.T) *image {
	t.Helper()
	text, err := os.ReadFile("../cmd/bipfs/dist/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	_, stage, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok {
		t.Fatal("the last stage is not FROM scratch")
	}
	made := &image{root: tempDir(t)}
	built := map[string]string{"/src/bipfs": bipfs, "/etc/ssl/certs/ca-certificates.crt": "/dev/null"}
	for line := range strings.Lines(strings.ReplaceAll(stage, "\\\n", "")) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch _, argv, _ := strings.Cut(line, "["); words[0] {
		case "COPY":
			to := filepath.Join(made.root, words[3])
			sh(t, longEnough, `mkdir -p "$(dirname "$2")"; cp "$1" "$2"`, built[words[2]], to)
		case "ENV":
			made.env = append(made.env, words[1:]...)
		case "ENTRYPOINT":
			made.entry = argvOf(t, argv)
		case "CMD":
			made.command = argvOf(t, argv)
		case "HEALTHCHECK":
			made.health = argvOf(t, argv)
		case "VOLUME", "EXPOSE":
		default:
			t.Fatalf("nobody knows what %s does", line)
		}
	}
	for _, name := range []string{"proc", "dev", "sys", "data", "mnt"} {
		if err := os.Mkdir(filepath.Join(made.root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// argvOf is a list of words, behind its first bracket.
func argvOf(t *testing.T, list string) (argv []string) {
	t.Helper()
	if err := json.Unmarshal([]byte("["+list), &argv); err != nil {
		t.Fatalf("[%s: %v", list, err)
	}
	return argv
}

// A containerEngine is a machine with containers: its mounts and its network are its own. What
// containers show to each other is in the folder volume.
type containerEngine struct {
	t      *testing.T
	host   *process
	net    *namespace
	image  *image
	volume string
}

func newEngine(t *testing.T) *containerEngine {
	t.Helper()
	needFuse(t)
	needRoot(t)
	need(t, "unshare", "nsenter", "mount", "setpriv", "chroot", "mknod")
	e := &containerEngine{t: t, net: newNamespace(t), image: readImage(t), volume: tempDir(t)}
	e.host = e.space("host", "private", `mkdir "$1/torrents"; mount --bind "$1" "$1"; mount --make-rshared "$1"`, e.volume)
	return e
}

// space is a mount namespace: a copy of this one, or of the host's, and then a line of
// shell. It stays until the test ends.
func (e *containerEngine) space(name, propagation, line string, args ...string) *process {
	e.t.Helper()
	argv := append(e.prefix(), "unshare", "--mount", "--propagation", propagation, "sh", "-euc", line+"\necho ready; exec sleep 1000", "sh")
	p := start(e.t, name, append(argv, args...)...)
	p.prints("ready", longEnough)
	return p
}

// prefix runs a program on the host.
func (e *containerEngine) prefix() []string {
	argv := append(e.net.prefix(), "env")
	if e.host != nil {
		argv = append(e.net.prefix(), "nsenter", "--mount", "--target", strconv.Itoa(e.host.pid()))
	}
	return argv
}

// A container is a process with the image for its root, which is read-only, the
// devices that it was given, and two volumes.
type container struct {
	*process
	e     *containerEngine
	image *image
}

// contained makes the root and becomes the program: $1 is the root, $2 the volume, $3
// the data, and the words after them the program.
const contained = `root=$1 volume=$2 data=$3; shift 3
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
mknod -m 666 "$root/dev/fuse" c 10 229
mknod -m 666 "$root/dev/null" c 1 3
mount --rbind "$volume" "$root/mnt"
mount --bind "$data" "$root/data"
exec "$@"
`

// run starts the image with settings of docker run -e; rights are the words of setpriv
// for the rights that it has.
func (e *containerEngine) run(data string, rights, settings []string) *container {
	e.t.Helper()
	argv := append(e.prefix(), "unshare", "--mount", "--propagation", "unchanged", "--pid", "--fork", "--kill-child",
		"sh", "-euc", contained, "sh", e.image.root, e.volume, data, "setpriv")
	argv = append(append(argv, rights...), "env", "-i", "PATH="+os.Getenv("PATH"))
	argv = append(append(argv, e.image.env...), settings...)
	argv = append(append(argv, "chroot", e.image.root), e.image.entry...)
	c := &container{process: start(e.t, "container", append(argv, e.image.command...)...), e: e, image: e.image}
	e.t.Cleanup(func() { c.end(syscall.SIGKILL) })
	return c
}

// first is the first process of the container; 0: there is none any more.
func (c *container) first() int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.pid(), c.pid()))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// end sends the signal that the engine sends, and waits.
func (c *container) end(s syscall.Signal) {
	c.t.Helper()
	if pid := c.first(); c.runs() && pid != 0 {
		_ = syscall.Kill(pid, s)
	}
	if !c.ended(longEnough) {
		c.t.Errorf("the container still runs after %v", s)
	}
}

// exec is docker exec.
func (c *container) exec(argv ...string) result {
	enter := append([]string{"env", "-i", "PATH=" + os.Getenv("PATH")}, c.image.env...)
	enter = append(enter, "nsenter", "--mount", "--pid", "--net", "--root", "--target", strconv.Itoa(c.first()), "--")
	return try(longEnough, append(enter, argv...)...)
}

// isHealthy is the image's health check.
func (c *container) isHealthy() bool { return c.exec(c.image.health...).code == 0 }

// shows waits until a torrent is to be read where a process is.
func (e *containerEngine) shows(where *process, to *torrent) {
	e.t.Helper()
	enter := []string{"nsenter", "--mount", "--target", strconv.Itoa(where.pid())}
	name := filepath.Base(to.content)
	var r result
	eventually(e.t, longEnough, where.name+" sees "+name, func() bool {
		r = try(longEnough, append(slices.Clone(enter), "cmp", filepath.Join(e.volume, "torrents", name, name), to.content)...)
		return r.code == 0
	})
}

// mounted is how many mounts are below the volume where a process is.
func (e *containerEngine) mounted(where *process) int {
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", where.pid()))
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Count(string(table), " "+e.volume+"/torrents ")
}

// TestContainer does what an engine does with the image, as docs/INSTALL.md has it: what
// is in the mount is seen outside and in other containers, also after the container was
// stopped, or killed, and started again.
func TestContainer(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	to := torrentOf(t, smallFile(t), 256<<10)
	seeder := aria2(t, place{address: "127.0.0.1", prefix: e.net.prefix()}, contentDir(), to)
	data, settings := tempDir(t), []string{"BIPFS_PEER=" + seeder.addr}
	early := e.space("a container from before", "slave", "")
	c := e.run(data, nil, settings)
	c.prints("mounted /mnt/torrents\n", longEnough)
	eventually(t, longEnough, "it is healthy", c.isHealthy)
	if r := c.exec("/bin/bipfs", "add", to.magnet(nil, nil)); r.code != 0 {
		t.Fatal(r)
	}
	late := e.space("a container from after", "slave", "")
	everywhere := []*process{e.host, early, late}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		for _, where := range everywhere {
			e.shows(where, to)
			if n := e.mounted(where); n != 1 {
				t.Errorf("%s has %d mounts", where.name, n)
			}
		}
		c.end(s)
		left := 0 // by who stops
		if s == syscall.SIGKILL {
			left = 1
		}
		for _, where := range everywhere {
			if n := e.mounted(where); n != left {
				t.Errorf("after %v: %s has %d mounts", s, where.name, n)
			}
		}
		c = e.run(data, nil, settings)
		c.prints("mounted /mnt/torrents\n", longEnough)
	}
	c.end(syscall.SIGTERM)
	if code := c.exits(longEnough); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// TestContainerRights: a container needs one right, which need not be root's; without it,
// it says what is missing.
func TestContainerRights(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	data := tempDir(t)
	without := e.run(data, []string{"--bounding-set", "-sys_admin"}, nil)
	if code := without.exits(longEnough); code != 1 || !strings.Contains(without.printed(), "--cap-add SYS_ADMIN") {
		t.Errorf("without the right: exit %d, %s", code, without.printed())
	}
	run(t, longEnough, "chown", "-R", "1000:1000", data)
	const rights = "-all,+sys_admin,+sys_chroot" // chroot is what the test needs
	c := e.run(data, []string{"--reuid", "1000", "--regid", "1000", "--clear-groups", "--no-new-privs",
		"--bounding-set", rights, "--inh-caps", rights, "--ambient-caps", rights}, nil)
	c.prints("mounted /mnt/torrents\n", longEnough)
	eventually(t, longEnough, "it is healthy", c.isHealthy)
	c.end(syscall.SIGTERM)
	if n, code := e.mounted(e.host), c.exits(longEnough); n != 0 || code != 0 {
		t.Errorf("a user's container ends with %d and leaves %d mounts", code, n)
	}
}
