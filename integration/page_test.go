package integration

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var pictures = flag.String("pictures", "", "folder for pictures of the page, as TestPage sees it")

// served is a bipfs serve that answers.
type served struct {
	*process
	page    *url.URL // with the token
	token   string
	control string // the folder of its socket
}

var printedPage = regexp.MustCompile(`(?m)^page (http://\S+)$`)

// serveBipfs starts one.
func serveBipfs(t testing.TB, flags ...string) *served {
	t.Helper()
	data := tempDir(t)
	argv := append([]string{"serve", "--http", "127.0.0.1:0", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "info", "--no-dht",
		"--control", filepath.Join(data, "control")}, flags...)
	s := &served{process: startCommand(t, "bipfs", exec.Command(bipfs, argv...)), control: filepath.Join(data, "control")}
	s.prints("page http://", 10*time.Second)
	s.page = pageOf(t, s.process)
	s.token = s.page.Query().Get("token")
	return s
}

// pageOf is the address that a bipfs has printed.
func pageOf(t testing.TB, p *process) *url.URL {
	t.Helper()
	var found []string
	eventually(t, longEnough, "it prints no address", func() bool {
		found = printedPage.FindStringSubmatch(p.printed())
		return found != nil
	})
	u, err := url.Parse(found[1])
	if err != nil || u.Query().Get("token") == "" {
		t.Fatalf("it prints %s: %v", found[1], err)
	}
	return u
}

// at is an address of the same server.
func (s *served) at(path string) string { return "http://" + s.page.Host + path }

// filmSeconds is how long the film of a page is; it comes in at 2 MB/s, of which it
// needs a third.
const filmSeconds = 60

// shownFolder is what a page shows: a film, and beside it what a stranger might add.
func shownFolder(t testing.TB) string {
	t.Helper()
	need(t, "ffmpeg")
	dir := filepath.Join(contentDir(), "A calm film")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	making := dir + ".new"
	if err := os.MkdirAll(filepath.Join(making, "Extras"), 0o755); err != nil {
		t.Fatal(err)
	}
	// Colours cost nothing to code: filler brings them to a rate that is a film's.
	run(t, 3*time.Minute, "ffmpeg", "-v", "error", "-y",
		"-f", "lavfi", "-i", fmt.Sprintf("gradients=size=240x100:rate=12:duration=%d:speed=0.0014:x0=15:y0=99:x1=210:y1=0:"+
			"c0=0x10282b:c1=0x1f6f68:c2=0xe9a94f:c3=0xf6e3bd:nb_colors=4", filmSeconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=220:duration=%d", filmSeconds),
		"-vf", "scale=960:400:flags=fast_bilinear", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "12",
		"-b:v", "5500k", "-minrate", "5500k", "-maxrate", "5500k", "-bufsize", "5500k", "-x264-params", "nal-hrd=cbr:force-cfr=1",
		"-c:a", "aac", "-b:a", "96k", "-bitexact", "-f", "mp4", filepath.Join(making, "A calm film (2026).mp4"))
	for name, content := range map[string]string{
		"notes.txt":        "It is calm.\n",
		"Extras/evil.svg":  `<svg xmlns="http://www.w3.org/2000/svg"><script>document.documentElement.setAttribute("ran", fetch("/live"))</script></svg>`,
		"Extras/evil.html": `<script>fetch("/live").then(() => { document.title = "ran" })</script>`,
	} {
		if err := os.WriteFile(filepath.Join(making, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(making, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPage: a real browser plays a film while it comes at 2 MB/s, goes to 80 % of
// it, and sees in the map of the pieces what has come.
func TestPage(t *testing.T) {
	long(t)
	c := torrentOf(t, shownFolder(t), 128<<10)
	flags := []string{"--down", "2MB/s", "--no-utp"}
	for range 3 {
		flags = append(flags, "--peer", engineSeeder(t, c))
	}
	// Beside it one whose metadata nobody has, and one that nobody has at all.
	s := serveBipfs(t, append(flags, c.file, "magnet:?xt=urn:btih:"+strings.Repeat("ab", 20)+"&dn=Something that is looked for",
		madeUp(t, "A record of the sea.flac", 300<<20, 1<<20, "").file)...)
	b := startBrowser(t, 1100, 1130)
	b.visit(s.page.String())
	b.becomes(`location.href === "` + s.at("/") + `" && document.querySelector("a.name")?.textContent === "A calm film"`)
	b.becomes(`document.querySelector(".totals [data-f=down]").textContent === "0 B/s"`) // the script runs
	s.shoot(b, "list")
	_ = b.eval(`document.querySelector("a.name").click()`, nil)
	b.becomes(`document.querySelector("a.file.video")`)
	_ = b.eval(`document.querySelector("a.file.video").click()`, nil)
	b.becomes(`document.querySelector("video")?.currentTime > 2 && document.querySelector("#map").dataset.drawn > 2`)
	s.shoot(b, "playing")
	if err := b.eval(`video = document.querySelector("video"); video.currentTime = 0.8 * video.duration`, nil); err != nil {
		t.Fatal(err)
	}
	b.becomes(`video.currentTime > 0.8 * video.duration + 1 && !video.paused && !video.seeking`)
	b.becomes(`document.querySelector(".readers").textContent.includes("http reads A calm film (2026).mp4")`)
	s.shoot(b, "sought")
	var pieces string
	if err := b.eval(`fetch(document.body.dataset.live).then((a) => a.json()).then((v) => v.map.here)`, &pieces); err != nil {
		t.Fatal(err)
	}
	// The film is nearly all of the torrent: what was played, nothing, what is played.
	if n := len(pieces); n < 100 || !strings.HasPrefix(pieces, "9") || !strings.Contains(pieces[n*79/100:], "99") || !strings.Contains(pieces[:n*79/100], "00000") {
		t.Errorf("the map: %s", pieces)
	}
	var seconds float64
	if err := b.eval(`video.currentTime - 0.8 * video.duration`, &seconds); err != nil || seconds < 1 {
		t.Errorf("it plays since %v s: %v", seconds, err)
	}
	b.ask("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true}, nil)
	var over bool
	if err := b.eval(`document.documentElement.scrollWidth > 390`, &over); err != nil || over {
		t.Errorf("wider than a telephone: %v", err)
	}
	s.shoot(b, "telephone")
	if said := b.complaints(); len(said) > 0 {
		t.Errorf("the pages complain: %q", said)
	}
	t.Run("strangers", func(t *testing.T) { strangers(t, b, s, c) })
}

// shoot keeps a picture, if they are asked for.
func (s *served) shoot(b *browser, name string) {
	if *pictures != "" {
		time.Sleep(1200 * time.Millisecond) // for the rates
		b.picture(filepath.Join(*pictures, name+".png"))
	}
}

// strangers: what others get, in a browser that may get everything.
func strangers(t *testing.T, b *browser, s *served, c *torrent) {
	// What a stranger wrote is not opened, but kept.
	for _, name := range []string{"evil.svg", "evil.html"} {
		if said := b.visit(s.at("/f/" + c.hash() + "/Extras/" + name)); said != "net::ERR_ABORTED" {
			t.Errorf("%s is opened: %q", name, said)
		}
	}
	// A text is shown, and has no origin.
	b.visit(s.at("/f/" + c.hash() + "/notes.txt"))
	b.becomes(`document.body?.textContent.includes("It is calm.") && self.origin === "null"`)

	// Another site's page neither reads nor plays anything.
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<video src=%q></video><script>
			const film = new Promise((done) => { document.querySelector("video").onerror = () => done("no film"); document.querySelector("video").onloadeddata = () => done("film") });
			const list = fetch(%q, {credentials: "include", mode: "cors"}).then(() => "list", () => "no list");
			Promise.all([film, list]).then((all) => { document.title = all.join(", ") });
		</script>`, s.at("/f/"+c.hash()+"/A%20calm%20film%20(2026).mp4"), s.at("/live"))
	}))
	defer other.Close()
	b.visit(strings.Replace(other.URL, "127.0.0.1", "localhost", 1))
	b.becomes(`document.title === "no film, no list"`)

	for name, change := range map[string]func(r *http.Request){
		"wrong host": func(r *http.Request) { r.Host = "evil.example" },
		"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"no token":   func(r *http.Request) { r.Header.Del("Authorization") },
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.at("/live"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token)
		r.Close = true
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if want := map[string]int{"wrong host": 421, "cross-site": 403, "no token": 401}[name]; answer.StatusCode != want {
			t.Errorf("%s: %d, not %d", name, answer.StatusCode, want)
		}
	}
}

// TestServe: curl, a player and a file manager read what a mount shows, by their own
// ways, from a mount and from what has none.
func TestServe(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	c := torrentOf(t, file(t, "served at all.bin", 3_000_000), 32<<10)
	peer := engineSeeder(t, c)
	m := mountBipfs(t, mounting{flags: []string{"--peer", peer, "--http", "127.0.0.1:0"}, sources: []string{c.file}})
	alone := serveBipfs(t, "--peer", peer, c.file)
	for name, s := range map[string]*served{
		"serve": alone,
		"mount": {process: m.process, page: pageOf(t, m.process)},
	} {
		t.Run(name, func(t *testing.T) {
			s.token = s.page.Query().Get("token")
			if strings.Count(s.printed(), s.token) != 1 {
				t.Error("the token is in the log")
			}
			bearer := "Authorization: Bearer " + s.token
			path := "/" + c.hash() + "/" + url.PathEscape(c.Info.Name)
			got := filepath.Join(tempDir(t), "got")
			run(t, 20*time.Second, "curl", "-sSf", "-H", bearer, "-o", got, s.at("/f"+path))
			same(t, got, c.content)
			run(t, 20*time.Second, "curl", "-sSf", "-u", "me:"+s.token, "-o", got, s.at("/dav/"+url.PathEscape(c.Info.Name)+"/"+url.PathEscape(c.Info.Name)))
			same(t, got, c.content)
			for path, want := range map[string]string{
				"/metrics": "bipfs_content_here_bytes 3000000\n", "/": "100 %", "/t/" + c.hash() + "/": "served at all.bin", "/live": `"complete":true`,
			} {
				if r := run(t, 20*time.Second, "curl", "-sSf", "-H", bearer, s.at(path)); !strings.Contains(r.out, want) {
					t.Errorf("%s has no %s: %v", path, want, r)
				}
			}
		})
	}
	// The commands find what has no mount, and what they remove is gone there, too.
	command := func(args ...string) result {
		return try(20*time.Second, append([]string{bipfs, args[0], "--control", alone.control}, args[1:]...)...)
	}
	for _, args := range [][]string{{"ls"}, {"status"}, {"peers", c.hash()}, {"rm", c.hash()}} {
		if r := command(args...); r.code != 0 {
			t.Error(r)
		}
	}
	if r := try(20*time.Second, "curl", "-s", "-H", "Authorization: Bearer "+alone.token, alone.at("/t/"+c.hash()+"/")); !strings.Contains(r.out, "there is no torrent") {
		t.Errorf("what was removed: %v", r)
	}
	alone.signal(syscall.SIGTERM)
	if code := alone.exits(5 * time.Second); code != 0 {
		t.Errorf("its exit code is %d", code)
	}
}
