package keeper

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// program puts this program, in an environment, where the keeper looks for one.
func (k *keeping) program(t *testing.T, env string) {
	t.Helper()
	if err := os.Rename(k.Program, k.Program+".real"); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n%s exec '%s.real' \"$@\"\n", env, k.Program)
	if err := os.WriteFile(k.Program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestTrial: a program that takes over, and dies again and again, gives way to the one
// before, and nobody is refused meanwhile.
func TestTrial(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	k.serving(t, 1)
	k.program(t, "BROKEN=1")
	k.signals <- syscall.SIGUSR2
	k.serving(t, 1+mostDeaths+1)
	if got := k.read(); got != fileBytes {
		t.Errorf("read: %s", got)
	}
	log := k.log.String()
	if !strings.Contains(log, "the new program died too often") || strings.Contains(log, "gets EIO") {
		t.Error("the log does not say so")
	}
}

// TestMended: while no worker lives, another program may be tried at once.
func TestMended(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	k.tell(t, "exit +")
	syscall.Kill(k.serving(t, 1), syscall.SIGKILL)
	eventually(t, "it is given up", func() bool { return strings.Contains(k.log.String(), "died too often") })
	k.program(t, "FIXED=1")
	eventually(t, "it is read again", func() bool {
		if len(k.signals) == 0 { // a worker that begins just then is not exchanged
			k.signals <- syscall.SIGUSR2
		}
		return k.read() == fileBytes
	})
}

// TestLazily: who has a file open when its mount is taken from its directory goes on,
// after a death of the worker, too; when it is closed all ends.
func TestLazily(t *testing.T) {
	k := keep(t, "serve")
	<-k.served
	cmd := exec.Command("timeout", "60", "sh", "-c", `exec 3<"$1"; echo open; read line; dd bs=24 count=1 status=none <&3; echo; read line`, "sh", k.dir+"/file")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is open", func() bool { return strings.Contains(said.String(), "open") })
	if out, err := exec.Command("umount", "-l", k.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	syscall.Kill(k.serving(t, 1), syscall.SIGKILL)
	k.serving(t, 2)
	io.WriteString(in, "\n")
	eventually(t, "it is read", func() bool { return strings.Contains(said.String(), fileBytes) })
	in.Close()
	if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "exit status 1") { // of the last read
		t.Error(err)
	}
	if code := <-k.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestAsksNot: a worker does not use the mount that it serves. Killed in the middle of
// that it would wait for its successor, and could not be killed at all.
func TestAsksNot(t *testing.T) {
	k := keep(t, "asked")
	<-k.served
	k.kill(t, 1)
	k.serving(t, 2)
	if got := k.read(); got != fileBytes || strings.Count(k.log.String(), "the worker died") != 1 {
		t.Errorf("read: %s", got)
	}
}
