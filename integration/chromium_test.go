package integration

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A browser is a headless Chromium with one page, spoken to over two pipes: JSON
// messages of the DevTools protocol, each ended by a zero byte. What it would ask of
// the world it cannot: no name but those of this machine has an address.
type browser struct {
	*process
	t       testing.TB
	out     *os.File // to it
	in      *os.File // from it
	session string

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	said    []string // errors that pages have logged
	joined  chan struct{}
}

type answer struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startBrowser starts one, with a page of so many points.
func startBrowser(t testing.TB, width, height int) *browser {
	t.Helper()
	need(t, "chromium")
	argv := []string{"--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + tempDir(t), "--no-first-run", "--disable-gpu",
		"--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--mute-audio", "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars", "--force-device-scale-factor=1",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"}
	if os.Getuid() == 0 {
		argv = append(argv, "--no-sandbox")
	}
	cmd := exec.Command("chromium", append(argv, "about:blank")...)
	cmd.Env = append(os.Environ(), "HOME="+tempDir(t))
	theirs, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs, theirOut}
	b := &browser{t: t, out: out, in: in, waiting: map[int]chan answer{}, joined: make(chan struct{})}
	b.process = startCommand(t, "chromium", cmd)
	theirs.Close()
	theirOut.Close()
	go b.listen()
	t.Cleanup(b.close) // before the process is ended by force
	var target struct{ TargetID string }
	b.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.ask("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, of := range []string{"Page", "Runtime", "Log"} {
		b.ask(of+".enable", nil, nil)
	}
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	return b
}

// close ends it as a person does, and what it started.
func (b *browser) close() {
	b.session = ""
	_ = b.try("Browser.close", nil, nil) // it may have gone
	b.ended(10 * time.Second)
	b.out.Close()
	b.in.Close()
	<-b.joined
}

// listen hands out its answers until it has gone.
func (b *browser) listen() {
	defer close(b.joined)
	r := bufio.NewReader(b.in)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			break
		}
		var m struct {
			answer
			ID     int             `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
			b.t.Errorf("chromium says %.200s: %v", line, err)
			break
		}
		b.mu.Lock()
		switch wait := b.waiting[m.ID]; {
		case wait != nil:
			delete(b.waiting, m.ID)
			wait <- m.answer
		case m.Method == "Log.entryAdded" || m.Method == "Runtime.exceptionThrown":
			b.said = append(b.said, string(m.Params))
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, wait := range b.waiting {
		close(wait)
		delete(b.waiting, id)
	}
	b.waiting = nil
}

// complaints are the errors that pages have logged since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = nil
	return said
}

// try sends one command and reads what becomes of it.
func (b *browser) try(method string, params, into any) error {
	wait := make(chan answer, 1)
	b.mu.Lock()
	if b.waiting == nil {
		b.mu.Unlock()
		return io.ErrClosedPipe
	}
	b.last++
	id := b.last
	b.waiting[id] = wait
	b.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	line, err := json.Marshal(message)
	if err == nil {
		_, err = b.out.Write(append(line, 0))
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), longEnough)
	defer cancel()
	select {
	case a, ok := <-wait:
		switch {
		case !ok:
			return io.ErrClosedPipe
		case a.Error != nil:
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		case into != nil:
			return json.Unmarshal(a.Result, into)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer", method)
	}
}

// ask is try for what has to succeed.
func (b *browser) ask(method string, params, into any) {
	b.t.Helper()
	if err := b.try(method, params, into); err != nil {
		b.t.Fatal(err)
	}
}

// visit goes to a page, and is why that failed, if it did.
func (b *browser) visit(url string) string {
	b.t.Helper()
	var went struct{ ErrorText string }
	b.ask("Page.navigate", map[string]any{"url": url}, &went)
	return went.ErrorText
}

// eval is the value of an expression of JavaScript in the page, waited for if it is
// a promise. While a page is being left there may be none.
func (b *browser) eval(expression string, into any) error {
	var got struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := b.try("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	switch {
	case err != nil:
		return err
	case got.ExceptionDetails != nil:
		return fmt.Errorf("%s: %s %s", expression, got.ExceptionDetails.Text, got.ExceptionDetails.Exception.Description)
	case into == nil || got.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(got.Result.Value, into)
}

// becomes waits until an expression is true.
func (b *browser) becomes(expression string) {
	b.t.Helper()
	var last error
	defer func() {
		if b.t.Failed() {
			var film string
			_ = b.eval(`(v => v ? [v.readyState, v.networkState, v.currentTime, v.error?.message, v.src].join(" ") : location.href + document.body.innerText)(document.querySelector("video"))`, &film)
			b.t.Logf("last: %v; the film: %s; the pages say %q", last, film, b.complaints())
		}
	}()
	eventually(b.t, longEnough, expression, func() bool {
		is := false
		last = b.eval("Boolean("+expression+")", &is)
		return is
	})
}

// picture is the page as a PNG.
func (b *browser) picture(file string) {
	b.t.Helper()
	var got struct{ Data string }
	b.ask("Page.captureScreenshot", map[string]any{"format": "png"}, &got)
	png, err := base64.StdEncoding.DecodeString(got.Data)
	if err == nil {
		err = os.WriteFile(file, png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}
