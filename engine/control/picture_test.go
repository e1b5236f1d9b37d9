package control

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestProfiles: who may stop the daemon may see what it does.
func TestProfiles(t *testing.T) {
	_, c := serve(t, t.TempDir(), -1)
	for path, want := range map[string]string{
		"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/none": "Unknown profile",
		"/debug/pprof/cmdline": "Unknown profile", // links in it may hold passkeys
	} {
		conn, err := dial(c.socket)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: bipfs\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d, %v: %.200s", path, answer.StatusCode, err, b)
		}
		conn.Close()
	}
}
