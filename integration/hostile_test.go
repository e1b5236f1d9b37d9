package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// refuses runs bipfs with a command line that cannot work: one sentence, the
// exit code, and nothing mounted.
func refuses(t *testing.T, code int, says string, args ...string) {
	t.Helper()
	r := try(20*time.Second, append([]string{bipfs}, args...)...)
	if r.code != code {
		t.Errorf("want exit code %d: %v", code, r)
	}
	if lines := strings.Count(r.err, "\n"); lines != 1 || !strings.HasPrefix(r.err, "bipfs: ") {
		t.Errorf("not one sentence on stderr: %v", r)
	}
	if r.out != "" {
		t.Errorf("printed on stdout: %v", r)
	}
	if len(r.err) > 600 {
		t.Errorf("a sentence of %d bytes: %v", len(r.err), r)
	}
	if !strings.Contains(r.err, says) {
		t.Errorf("does not say %q: %v", says, r)
	}
}

// TestUsage: what a person types wrong is a sentence and exit code 2.
func TestUsage(t *testing.T) {
	dir, data := tempDir(t), filepath.Join(tempDir(t), "data")
	at := func(args ...string) []string { return append([]string{"mount", "--data", data, dir}, args...) }
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"no command", "", nil},
		{"unknown command", "", []string{"mont", dir}},
		{"no mount point", "", []string{"mount"}},
		{"unknown flag", "--fast", at("--fast")},
		{"size", "--memory", at("--memory", "12 XB")},
		{"negative size", "", at("--keep-free=-1")},
		{"duration", "--read-timeout", at("--read-timeout", "soon")},
		{"log level", "--log-level", at("--log-level", "loud")},
		{"mount option", "suid", at("-o", "suid")},
		{"mount option value", "uid", at("-o", "uid=root")},
		{"peer", "--peer", at("--peer", "nowhere")},
		{"listen", "--listen", at("--listen", "127.0.0.1:99999")},
		{"temporary data", "--temporary", at("--temporary")},
		{"data in the mount", "mount point", []string{"mount", "--data", filepath.Join(dir, "data"), dir}},
		{"fetch without a folder", "", []string{"fetch", "x.torrent"}},
		{"unmount of nothing", "", []string{"unmount"}},
	} {
		t.Run(c.name, func(t *testing.T) { refuses(t, 2, c.says, c.args...) })
	}
	if isMounted(dir) {
		t.Error("something was mounted")
	}
}

// TestImpossible: what is said right and cannot be done is a sentence and exit
// code 1.
func TestImpossible(t *testing.T) {
	needFuse(t)
	dir, data := tempDir(t), filepath.Join(tempDir(t), "data")
	notDir := filepath.Join(tempDir(t), "file")
	if err := os.WriteFile(notDir, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	full := filepath.Dir(notDir)
	refuses(t, 1, "missing", "mount", "--data", data, filepath.Join(dir, "missing"))
	refuses(t, 1, notDir, "mount", "--data", data, notDir)
	refuses(t, 1, full, "mount", "--data", data, full)
	refuses(t, 1, "not-there.torrent", "mount", "--data", data, dir, filepath.Join(dir, "not-there.torrent"))
	refuses(t, 1, dir, "unmount", dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	refuses(t, 1, ln.Addr().String(), "mount", "--data", data, "--listen", ln.Addr().String(), dir)
	if isMounted(dir) {
		t.Error("something was mounted")
	}
}

// TestSecondMount: one data folder is for one mount, and the second is told
// whose it is.
func TestSecondMount(t *testing.T) {
	m := mountBipfs(t, mounting{})
	other := tempDir(t)
	refuses(t, 1, fmt.Sprintf("already mounted at %s by pid %d", m.dir, m.pid()), "mount", "--data", m.data, other)
	refuses(t, 1, m.dir, "mount", "--data", filepath.Join(other, "data"), m.dir)
	if r := try(5*time.Second, "ls", m.dir); r.code != 0 {
		t.Errorf("the first mount has suffered: %v", r)
	}
	run(t, 5*time.Second, bipfs, "unmount", m.dir)
	if code := m.exits(5 * time.Second); code != 0 {
		t.Errorf("exit code %d after an unmount", code)
	}
	again := mountBipfs(t, mounting{dir: m.dir, data: m.data})
	again.stop(300 * time.Millisecond)
}

// hostile is files that call themselves torrents, and why they are none.
func hostile(t *testing.T) map[string][]byte {
	t.Helper()
	good, err := os.ReadFile(torrentOf(t, smallFile(t), 256<<10).file)
	if err != nil {
		t.Fatal(err)
	}
	info := func(rest string) []byte {
		return []byte("d4:infod" + rest + "ee")
	}
	pieces := "6:pieces20:" + strings.Repeat("x", 20)
	return map[string][]byte{
		"empty file":                {},
		"html":                      []byte("<!DOCTYPE html><html><body>404</body></html>"),
		"gzip":                      zipped(t, good),
		"truncated":                 good[:len(good)/2],
		"not bencode":               []byte("hello, world"),
		"list":                      []byte("l4:infoe"),
		"deep":                      bytes.Repeat([]byte("l"), 1<<20),
		"deep dictionary":           bytes.Repeat([]byte("d1:a"), 1<<18),
		"string longer than file":   []byte("d4:info9999999999999:x"),
		"no info":                   []byte("d8:announce3:urle"),
		"info is no dictionary":     []byte("d4:infoi5ee"),
		"no pieces":                 info("6:lengthi1e4:name1:a12:piece lengthi16384e"),
		"odd hashes":                info("6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces19:" + strings.Repeat("x", 19)),
		"piece length 0":            info("6:lengthi1e4:name1:a12:piece lengthi0e" + pieces),
		"piece length negative":     info("6:lengthi1e4:name1:a12:piece lengthi-16384e" + pieces),
		"piece length 2^62":         info("6:lengthi1e4:name1:a12:piece lengthi4611686018427387904e" + pieces),
		"length negative":           info("6:lengthi-1e4:name1:a12:piece lengthi16384e" + pieces),
		"length 2^63":               info("6:lengthi9223372036854775808e4:name1:a12:piece lengthi16384e" + pieces),
		"hashes missing":            info("6:lengthi1000000e4:name1:a12:piece lengthi16384e" + pieces),
		"sum of lengths overflows":  info("5:filesld6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi9223372036854775807e4:pathl1:beee4:name1:n12:piece lengthi16384e" + pieces),
		"v2 only":                   info("9:file treede12:meta versioni2e4:name1:n12:piece lengthi16384e"),
		"random":                    randomBytes(t, 100_000),
		"three million tokens":      []byte("d4:infol" + strings.Repeat("i1e", 3_000_000) + "ee"),
		"integer of a million bits": []byte("d4:infod6:lengthi" + strings.Repeat("9", 300_000) + "eee"),
	}
}

func randomBytes(t *testing.T, n int) []byte {
	b := make([]byte, n)
	if _, err := random(t.Name()).Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// TestHostileTorrents: a .torrent on the command line that is none is one
// sentence with its name, before anything is mounted; in a list it is skipped.
func TestHostileTorrents(t *testing.T) {
	dir, data, files := tempDir(t), filepath.Join(tempDir(t), "data"), tempDir(t)
	var list strings.Builder
	for name, b := range hostile(t) {
		path := filepath.Join(files, strings.ReplaceAll(name, " ", "-")+".torrent")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&list, path)
		t.Run(name, func(t *testing.T) {
			w := startWatch()
			refuses(t, 1, filepath.Base(path), "mount", "--data", data, dir, path)
			if took := w.took(); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if isMounted(dir) {
				t.Error("something was mounted")
			}
		})
	}
	good := torrentOf(t, smallFile(t), 256<<10)
	fmt.Fprintln(&list, good.file)
	m := mountBipfs(t, mounting{sources: []string{"-"}, list: list.String()})
	if got := run(t, 5*time.Second, "ls", m.dir).out; got != "small.bin\n" {
		t.Errorf("the mount of a list with one good torrent shows %q", got)
	}
	for name := range hostile(t) {
		if !strings.Contains(m.printed(), strings.ReplaceAll(name, " ", "-")+".torrent") {
			t.Errorf("the log does not name %s", name)
		}
	}
	if rss := m.status("VmHWM"); rss > 256<<20 {
		t.Errorf("hostile torrents took %d MiB of memory", rss>>20)
	}
	m.stop(300 * time.Millisecond)
}

// TestHostileNames: names that lead elsewhere are shown under safe names,
// inside the torrent's own folder.
func TestHostileNames(t *testing.T) {
	names := []string{"..", ".", "", "a/b", "../../etc/passwd", "nul\x00byte", "\xff\xfe", "line\nbreak", strings.Repeat("x", 300) + ".txt", "same", "same"}
	var files strings.Builder
	for _, name := range names {
		fmt.Fprintf(&files, "d6:lengthi1e4:pathl%d:%see", len(name), name)
	}
	b := fmt.Sprintf("d4:infod5:filesl%se4:name5:../..12:piece lengthi16384e6:pieces20:%see", files.String(), strings.Repeat("x", 20))
	path := filepath.Join(tempDir(t), "names.torrent")
	if err := os.WriteFile(path, []byte(b), 0o644); err != nil {
		t.Fatal(err)
	}
	m := mountBipfs(t, mounting{sources: []string{path}})
	r := run(t, 10*time.Second, "find", m.dir, "-mindepth", "1", "-printf", "%y %d %f\\0")
	var shown int
	for entry := range strings.SplitSeq(r.out, "\x00") {
		if strings.HasPrefix(entry, "f ") {
			shown++
		}
		if strings.Contains(entry, "\n") || strings.Contains(entry, "\xff") {
			t.Errorf("shown raw: %q", entry)
		}
	}
	if shown != len(names) {
		t.Errorf("%d of %d files are shown: %q", shown, len(names), r.out)
	}
	m.stop(300 * time.Millisecond)
}

// TestURLs: torrents come from the web in the background; what comes instead is
// reported, and stops nothing.
func TestURLs(t *testing.T) {
	good := torrentOf(t, smallFile(t), 256<<10)
	b, err := os.ReadFile(good.file)
	if err != nil {
		t.Fatal(err)
	}
	other := madeUp(t, "encoded.bin", 1<<20, 1<<18, "")
	encoded, err := os.ReadFile(other.file)
	if err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	pages := http.NewServeMux()
	pages.HandleFunc("/good.torrent", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(b) })
	pages.HandleFunc("/html.torrent", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html><body>please log in</body></html>") })
	pages.HandleFunc("/gzip.torrent", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(zipped(t, b)) })
	pages.HandleFunc("/encoded.torrent", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zipped(t, encoded))
	})
	pages.HandleFunc("/hangs.torrent", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	pages.HandleFunc("/loop.torrent", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop.torrent", http.StatusFound) })
	pages.HandleFunc("/file.torrent", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	server := httptest.NewServer(pages)
	defer server.Close()
	defer close(hang)
	seeder := scripted(t, manner{}, good)
	bad := []string{"html.torrent", "gzip.torrent", "loop.torrent", "file.torrent", "missing.torrent"}
	sources := []string{server.URL + "/good.torrent", server.URL + "/encoded.torrent", server.URL + "/hangs.torrent"}
	for _, name := range bad {
		sources = append(sources, server.URL+"/"+name)
	}
	m := mountBipfs(t, mounting{flags: peerFlags(seeder), sources: sources})
	if m.took > 2*time.Second {
		t.Errorf("the mount waited %v for the web", m.took)
	}
	eventually(t, 10*time.Second, "both torrents from the web are shown", func() bool {
		return run(t, 5*time.Second, "ls", m.dir).out == "encoded.bin\nsmall.bin\n"
	})
	same(t, good.shown(m), good.content)
	eventually(t, 10*time.Second, "the log says which server sent no torrent, each time", func() bool {
		return strings.Count(m.printed(), "err=\""+server.URL+"/…: ") == len(bad)
	})
	for _, name := range bad { // a path may hold a passkey
		if strings.Contains(m.printed(), name) {
			t.Errorf("the log has the path of %s", name)
		}
	}
	m.stop(5 * time.Second)
}
