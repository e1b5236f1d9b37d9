package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkStream is what a stream costs beside the bytes themselves: its ratio to a
// handler of net/http that serves the same from memory is the price of the door, the
// late head and the copy.
func BenchmarkStream(b *testing.B) {
	f := newFake()
	f.files["film.mp4"] = strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB
	s := &server{Site: f, files: newOpenFiles(f)}
	for name, h := range map[string]http.HandlerFunc{
		"stream": func(w http.ResponseWriter, r *http.Request) { s.stream(w, r, someHash+"/film.mp4") },
		"memory": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "film.mp4", someTime, strings.NewReader(f.files["film.mp4"]))
		},
	} {
		b.Run(name, func(b *testing.B) {
			t := httptest.NewServer(h)
			defer t.Close()
			b.SetBytes(16 << 20)
			for b.Loop() {
				r, err := http.NewRequestWithContext(context.Background(), "GET", t.URL, nil)
				if err != nil {
					b.Fatal(err)
				}
				answer, err := t.Client().Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, answer.Body); n != 16<<20 {
					b.Fatal(n, err)
				}
				answer.Body.Close()
			}
		})
	}
	s.files.close()
}
