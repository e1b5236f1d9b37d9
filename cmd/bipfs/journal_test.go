package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stream is a file that stands for the journal's socket, as $JOURNAL_STREAM names it.
func stream(t *testing.T) (f *os.File, name string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	is := st.Sys().(*syscall.Stat_t)
	return f, fmt.Sprintf("%d:%d", is.Dev, is.Ino)
}

// TestJournal: lines for the journal have a priority and no time, lines for anybody
// else are as they are.
func TestJournal(t *testing.T) {
	f, name := stream(t)
	say := func(format string) string {
		t.Helper()
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		log := logFlags{LogLevel: "debug", LogFormat: format}.logger(f)
		log.Debug("a")
		log.Info("b\n<0>c", "of", "x")
		log.With("more", 1).Warn("d")
		log.WithGroup("g").Error("e", slog.TimeKey, "stays")
		complain(f, fmt.Errorf("f"))
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	t.Setenv("JOURNAL_STREAM", name)
	for format, want := range map[string]string{
		"text": "<7>level=DEBUG msg=a\n<6>level=INFO msg=\"b\\n<0>c\" of=x\n<4>level=WARN msg=d more=1\n<3>level=ERROR msg=e g.time=stays\n<3>bipfs: f\n",
		"json": "<7>{\"level\":\"DEBUG\",\"msg\":\"a\"}\n<6>{\"level\":\"INFO\",\"msg\":\"b\\n<0>c\",\"of\":\"x\"}\n<4>{\"level\":\"WARN\",\"msg\":\"d\",\"more\":1}\n<3>{\"level\":\"ERROR\",\"msg\":\"e\",\"g\":{\"time\":\"stays\"}}\n<3>bipfs: f\n",
	} {
		if got := say(format); got != want {
			t.Errorf("%s:\n%s\nnot\n%s", format, got, want)
		}
	}
	for _, other := range []string{"", "1:2", "nonsense", name + "0", ":" + name} {
		t.Setenv("JOURNAL_STREAM", other)
		if got := say("text"); strings.HasPrefix(got, "<") || !strings.HasPrefix(got, "time=") {
			t.Errorf("JOURNAL_STREAM=%s: %s", other, got)
		}
	}
	t.Setenv("JOURNAL_STREAM", name)
	if isJournal(new(bytes.Buffer)) {
		t.Error("a buffer is taken for the journal")
	}
}

// TestJournalPage: the journal is not told the token of the page, and whoever else reads
// what is printed is.
func TestJournalPage(t *testing.T) {
	f, name := stream(t)
	for stream, want := range map[string]string{
		name:  "page http://127.0.0.1:1/ (bipfs status has it with its token)\n",
		"1:2": "page http://127.0.0.1:1/?token=secret\n",
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		sayPage(f, "")
		sayPage(f, "http://127.0.0.1:1/?token=secret")
		if b, err := os.ReadFile(f.Name()); err != nil || strings.TrimLeft(string(b), "\x00") != want {
			t.Errorf("JOURNAL_STREAM=%s: %q, %v", stream, b, err)
		}
	}
}
