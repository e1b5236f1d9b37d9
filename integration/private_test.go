package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bipfs/engine/metainfo"
)

// privateOf is the torrent of a content as private one, with trackers in tiers.
func privateOf(t testing.TB, content string, pieceLength int64, trackers ...string) *torrent {
	t.Helper()
	open := torrentOf(t, content, pieceLength)
	raw := open.Info.Raw
	info, err := metainfo.ParseInfo(append(raw[:len(raw)-1:len(raw)-1], "7:privatei1ee"...))
	if err != nil || !info.Private {
		t.Fatal(info, err)
	}
	to := &torrent{&metainfo.Torrent{Info: info}, content, open.file}
	return to.tracked(t, trackers...)
}

// strictTracker is a tracker of one tier that a judge listens to. It tells of
// the peers that are given.
func strictTracker(t testing.TB, j *judge, tier int, peers ...*peer) (announce string) {
	t.Helper()
	var compact []byte
	for _, p := range peers {
		at := netip.MustParseAddrPort(p.addr)
		compact = append(compact, at.Addr().AsSlice()...)
		compact = append(compact, byte(at.Port()>>8), byte(at.Port()))
	}
	answer := fmt.Sprintf("d8:completei1e10:incompletei1e8:intervali60e12:min intervali%de5:peers%d:%s10:tracker id%d:%se",
		int(j.least/time.Second), len(compact), compact, len(j.trackerID), j.trackerID)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := netip.ParseAddrPort(r.RemoteAddr)
		defer j.hear(&heard{at: time.Now(), tier: tier, path: path.Base(r.URL.Path), query: r.URL.Query(),
			agent: r.UserAgent(), from: from.Addr()})()
		time.Sleep(20 * time.Millisecond) // long enough for a second one to come meanwhile
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/passkey/announce"
}

// TestPrivateTracker: over 20 restarts, half of them kills, with reads in each,
// a strict private tracker hears nothing to ban for.
func TestPrivateTracker(t *testing.T) {
	long(t)
	t.Parallel() // it waits for the tracker's interval most of the time
	const rounds, finish = 20, 12
	j := &judge{least: time.Second, trackerID: "t-1"}
	content := file(t, "private.bin", 24<<20)
	plain := privateOf(t, content, 128<<10)
	seeder := scripted(t, manner{}, plain)
	to := plain.tracked(t, strictTracker(t, j, 1, seeder), strictTracker(t, j, 2, seeder))
	j.infohash, j.length = string(to.Info.Hash[:]), to.Info.Length
	o := mounting{dir: tempDir(t), data: filepath.Join(tempDir(t), "data"), sources: []string{to.file},
		flags: []string{"--listen", "127.0.0.1:" + freePort(t, "127.0.0.1")}}
	for round := range rounds {
		m := mountBipfs(t, o)
		o.sources = nil
		before := j.heardOf()
		switch {
		case round < finish: // each time another place
			sh(t, 20*time.Second, fmt.Sprintf(`for f in "$1" "$2"; do dd if="$f" bs=64k skip=%d count=3 status=none | sha256sum; done | uniq | wc -l | grep -qx 1`, round*24),
				to.shown(m), content)
		case round == finish:
			same(t, to.shown(m), content)
			eventually(t, 10*time.Second, "completed is announced", func() bool { return j.completed() == 1 })
		}
		if round%5 != 3 { // or it ends before it may announce itself
			eventually(t, 10*time.Second, fmt.Sprintf("round %d is announced", round), func() bool { return j.heardOf() > before })
		}
		if round%4 != 0 { // or it is killed before it has the answer
			eventually(t, 10*time.Second, "the answer", func() bool { return j.idle() })
		}
		if round%2 == 0 {
			m.kill()
			j.killed()
		} else {
			m.stop(2 * time.Second)
			j.stopped()
		}
	}
	for _, a := range j.against {
		t.Error(a)
	}
	if j.completed() != 1 || j.heardOf() < rounds/2 {
		t.Errorf("%d sessions were announced, and %d times that all is here", j.heardOf(), j.completed())
	}
}

// heardOf is how many sessions were announced.
func (j *judge) heardOf() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sessions
}

// idle is that nobody waits for an answer.
func (j *judge) idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.answers == 0
}

// completed is how often `completed` was said.
func (j *judge) completed() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.finished
}

// TestPrivateNoUpload: who uploads nothing gets no private torrent: named on the
// command line it is an error, one of a list is skipped, a stored one is shown
// and left alone.
func TestPrivateNoUpload(t *testing.T) {
	j := &judge{least: time.Second}
	content := smallFile(t)
	to := privateOf(t, content, 256<<10, strictTracker(t, j, 1))
	o := mounting{dir: tempDir(t), data: filepath.Join(tempDir(t), "data"), flags: []string{"--no-upload"}, sources: []string{to.file}}
	cmd := o.command()
	r := try(10*time.Second, cmd.Args...)
	if r.code != 1 || !strings.Contains(r.err, "private") || strings.Count(r.err, "bipfs: ") != 1 || isMounted(o.dir) {
		t.Errorf("it is not refused in one sentence: %v", r)
	}
	o.sources, o.list = []string{"-"}, to.file+"\n"
	m := mountBipfs(t, o)
	m.prints("skipped", 5*time.Second)
	if out := run(t, 5*time.Second, "ls", m.dir).out; strings.Contains(out, to.Info.Name) {
		t.Errorf("the one of the list is shown: %s", out)
	}
	m.stop(2 * time.Second)

	o.flags, o.sources, o.list = nil, []string{to.file}, ""
	mountBipfs(t, o).stop(2 * time.Second)
	o.flags, o.sources = []string{"--no-upload"}, nil
	m = mountBipfs(t, o)
	if r := try(10*time.Second, "cat", to.shown(m)); r.code == 0 || !strings.Contains(r.err, "not permitted") {
		t.Errorf("the stored one can be read: %v", r)
	}
	m.stop(2 * time.Second)
	if len(j.against) > 0 || j.sessions > 0 {
		t.Errorf("its tracker was told: %v", j.against)
	}
}
