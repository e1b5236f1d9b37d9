package web

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// counters count what is served.
type counters struct {
	bytes    atomic.Int64
	requests [6]atomic.Int64 // by the first digit of the code
}

// request counts one that was answered; 0: before it was.
func (c *counters) request(code int) {
	if code == 0 {
		code = http.StatusOK
	}
	if n := code / 100; n > 0 && n < len(c.requests) {
		c.requests[n].Add(1)
	}
}

// counting is an answer whose code is counted.
type counting struct {
	http.ResponseWriter
	of   *counters
	code int
}

// WriteHeader notes the code.
func (c *counting) WriteHeader(code int) {
	if c.code == 0 {
		c.code = code
	}
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// states are those of control.Torrent: a label has no other values.
var states = []string{"resolving", "dormant", "active", "seeding", "stopped", "unusable"}

// metrics answers in the text format of Prometheus, version 0.0.4. There is no
// label for a torrent or a peer: their number has no bound.
func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	var b exposition
	st := s.Status()
	count, complete, open, length, here := map[string]int{}, 0, 0, int64(0), int64(0)
	for _, t := range s.Torrents() {
		count[t.State]++
		open += t.Open
		length += t.Length
		here += t.Here
		if t.Complete {
			complete++
		}
	}
	b.one("bipfs_build_info", "gauge", "The version of the program.", 1, "version", st.Version)
	b.one("bipfs_start_time_seconds", "gauge", "When the daemon started, since 1970.", st.Started.Unix())
	b.head("bipfs_torrents", "gauge", "Torrents, by what they do.")
	for _, state := range states {
		b.line("bipfs_torrents", int64(count[state]), "state", state)
	}
	b.one("bipfs_torrents_complete", "gauge", "Torrents of which all is here.", int64(complete))
	b.one("bipfs_content_bytes", "gauge", "Bytes of all torrents.", length)
	b.one("bipfs_content_here_bytes", "gauge", "Bytes of them that are here.", here)
	b.one("bipfs_open_files", "gauge", "Files that are open.", int64(open))
	b.one("bipfs_peers", "gauge", "Connected peers.", int64(st.Peers))
	b.one("bipfs_downloaded_bytes_total", "counter", "Payload that came, of the torrents that are here, ever.", st.Downloaded)
	b.one("bipfs_uploaded_bytes_total", "counter", "Payload that was sent, of the torrents that are here, ever.", st.Uploaded)
	b.one("bipfs_store_free_bytes", "gauge", "Bytes that may still be stored.", st.Free)
	b.one("bipfs_store_writable", "gauge", "1, or 0 while the store is full.", map[bool]int64{true: 1}[st.Storing])
	b.head("bipfs_limit_bytes_per_second", "gauge", "Limits of rates; 0 is none.")
	b.line("bipfs_limit_bytes_per_second", st.DownLimit, "of", "down")
	b.line("bipfs_limit_bytes_per_second", st.BackgroundLimit, "of", "background")
	b.line("bipfs_limit_bytes_per_second", st.UpLimit, "of", "up")
	b.one("bipfs_events_total", "counter", "Events since the start.", int64(st.Seq))
	b.one("bipfs_http_sent_bytes_total", "counter", "Bytes of files that --http has sent.", s.served.bytes.Load())
	b.head("bipfs_http_requests_total", "counter", "Requests that --http has answered, by code.")
	for n := 2; n < len(s.served.requests); n++ {
		b.line("bipfs_http_requests_total", s.served.requests[n].Load(), "code", strconv.Itoa(n)+"xx")
	}
	b.one("bipfs_goroutines", "gauge", "Goroutines.", int64(runtime.NumGoroutine()))
	if rss := resident(); rss > 0 {
		b.one("bipfs_resident_memory_bytes", "gauge", "Resident memory.", rss)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	_, _ = w.Write([]byte(b.String())) // who asked may have gone
}

// exposition is metrics as text.
type exposition struct{ strings.Builder }

func (b *exposition) head(name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// line is one value; labels are name and value, in turn.
func (b *exposition) line(name string, v int64, labels ...string) {
	b.WriteString(name)
	if len(labels) == 2 {
		fmt.Fprintf(b, "{%s=%q}", labels[0], labels[1])
	}
	fmt.Fprintf(b, " %d\n", v)
}

func (b *exposition) one(name, kind, help string, v int64, labels ...string) {
	b.head(name, kind, help)
	b.line(name, v, labels...)
}

// resident is the memory that the kernel has given us, bytes; 0 where it does not
// say.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // or 0
	return pages * int64(os.Getpagesize())
}
