package integration

import (
	"bufio"
	"encoding/json"
	"flag"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playTime is how long each film is played in all (make films: a minute).
var playTime = flag.Duration("play", 4*time.Second, "play each film for so long")

// filmRate is what the swarm of a film brings, twice what the film takes.
const filmRate = 2_000_000

// An mpv plays without a screen and loudspeakers, in the time that these would take.
type mpv struct {
	*process
	conn  net.Conn
	lines *bufio.Scanner
}

// openMpv starts a player, and returns when it can be told what to do.
func openMpv(t *testing.T, prefix []string, folder, path string) *mpv {
	t.Helper()
	socket := filepath.Join(folder, "mpv.sock")
	argv := append(prefix, "mpv", "--no-config", "--vo=null", "--ao=null", "--msg-level=all=warn", "--input-ipc-server="+socket, path)
	m := &mpv{process: startCommand(t, "mpv", exec.Command(argv[0], argv[1:]...))}
	eventually(t, longEnough, "mpv opens no socket", func() (ok bool) {
		var err error
		m.conn, err = net.Dial("unix", socket)
		return err == nil
	})
	t.Cleanup(func() { m.conn.Close() })
	m.lines = bufio.NewScanner(m.conn)
	return m
}

// tell gives an order and returns the answer. One that the player cannot take now is
// an error, in its own words.
func (m *mpv) tell(t *testing.T, words ...any) (data any, wrong string) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"command": words, "request_id": 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.conn.SetDeadline(time.Now().Add(longEnough)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.conn.Write(append(b, '\n')); err != nil {
		return nil, err.Error()
	}
	for m.lines.Scan() {
		var answer struct {
			ID    int `json:"request_id"`
			Error string
			Data  any
		}
		if json.Unmarshal(m.lines.Bytes(), &answer) == nil && answer.ID == 7 {
			return answer.Data, strings.TrimPrefix(answer.Error, "success")
		}
	}
	return nil, "mpv says no more"
}

// at is where the player is, in seconds; -1 if it does not play yet.
func (m *mpv) at(t *testing.T) float64 {
	if at, ok := first(m.tell(t, "get_property", "time-pos")).(float64); ok {
		return at
	}
	return -1
}

func first(data any, _ string) any { return data }

// TestFilms: an ordinary user plays films from what make install has put there: an mp4
// with its index at the end, and a Matroska, from a swarm of 2 MB/s, with three jumps,
// and without an underrun.
func TestFilms(t *testing.T) {
	t.Parallel()
	need(t, "mpv")
	a := ordinary(t, "nobody")
	pkg := tempDir(t)
	makeInstall(t, "DESTDIR="+pkg, "PREFIX=/usr")
	openFuse(t)
	mp4 := film(t)
	mkv := filepath.Join(tempDir(t), "film.mkv")
	run(t, longEnough, "ffmpeg", "-v", "error", "-i", mp4, "-c", "copy", mkv)
	for _, content := range []string{mp4, mkv} {
		t.Run(filepath.Base(content), func(t *testing.T) {
			t.Parallel()
			to := torrentOf(t, content, 256<<10)
			seeder := scripted(t, manner{rate: filmRate, strict: true}, to)
			m := mountInstalled(t, pkg, a, peerFlags(seeder), to)
			p := openMpv(t, a.prefix(), a.owns(t), to.shown(m))
			for i, place := range []float64{0, 20, 10, 22} {
				if i > 0 {
					if _, wrong := p.tell(t, "seek", place, "absolute"); wrong != "" {
						t.Fatalf("seek: %s", wrong)
					}
				}
				until := place + playTime.Seconds()/4
				eventually(t, longEnough, "it does not play", func() bool { at := p.at(t); return at >= until && at < until+10 })
			}
			p.tell(t, "quit")
			if code := p.exits(longEnough); code != 0 {
				t.Errorf("mpv ended with %d", code)
			}
			if strings.Contains(strings.ToLower(p.printed()), "underrun") {
				t.Error("an underrun")
			}
		})
	}
}

// mountInstalled is mountBipfs as a user, of the program below pkg.
func mountInstalled(t *testing.T, pkg string, a account, flags []string, to *torrent) *mount {
	t.Helper()
	sh(t, longEnough, `chmod 755 "$1"`, pkg)
	o := mounting{dir: a.owns(t), data: filepath.Join(a.owns(t), "data"), prefix: a.prefix(), flags: flags, sources: []string{to.file}}
	cmd := o.command()
	for i, arg := range cmd.Args {
		if arg == bipfs {
			cmd.Args[i] = filepath.Join(pkg, "usr/bin/bipfs")
		}
	}
	m := &mount{process: startCommand(t, "bipfs", cmd), dir: o.dir, data: o.data}
	t.Cleanup(m.unmountDead)
	m.prints("mounted "+m.dir+"\n", longEnough)
	return m
}

// TestFilmEnds: a swarm that dies in the middle of a film is an error within the time
// that a read may take; `why` names the piece, and the player can be closed.
func TestFilmEnds(t *testing.T) {
	t.Parallel()
	need(t, "mpv")
	to := torrentOf(t, film(t), 256<<10)
	seeder := scripted(t, manner{rate: filmRate, strict: true}, to)
	m := mountBipfs(t, mounting{flags: append(peerFlags(seeder), "--read-timeout", "4s"), sources: []string{to.file}})
	for _, closed := range []bool{false, true} {
		p := openMpv(t, nil, tempDir(t), to.shown(m))
		eventually(t, longEnough, "it does not play", func() bool { return p.at(t) > 0.5 })
		seeder.close()
		if _, wrong := p.tell(t, "seek", 36, "absolute"); wrong != "" {
			t.Fatalf("seek: %s", wrong)
		}
		var why string
		eventually(t, longEnough, "nobody knows why", func() bool {
			why = try(longEnough, bipfs, "why", "--control", m.control(), to.shown(m)).out
			return strings.Contains(why, "piece ") || !p.runs()
		})
		if !strings.Contains(why, "piece ") {
			t.Errorf("why says %q", why)
		}
		if closed {
			p.tell(t, "quit")
		}
		if !p.ended(longEnough) {
			t.Error("the player goes on")
		}
	}
	if !m.runs() {
		t.Error("bipfs has ended")
	}
}
