package engine

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// TestListenHTTP: nobody else is let in unless that is wanted, and no name is
// looked up.
func TestListenHTTP(t *testing.T) {
	for addr, to := range map[string]string{
		"127.0.0.1:0": "127.0.0.1", "127.9.9.9:0": "127.9.9.9", "localhost:0": "127.0.0.1", "[::1]:0": "::1", "[::ffff:127.0.0.1]:0": "127.0.0.1",
	} {
		l, err := ListenHTTP(t.Context(), addr, false)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if ip := l.Addr().(*net.TCPAddr).IP; ip.String() != to {
			t.Errorf("%s listens at %v", addr, ip)
		}
		if _, err := ListenHTTP(t.Context(), l.Addr().String(), false); err == nil || !strings.Contains(err.Error(), "taken") {
			t.Errorf("a port that is taken: %v", err)
		}
		l.Close()
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[fe80::1%lo]:0"} {
		if err := CheckHTTP(addr, false); !errors.Is(err, ErrRemote) {
			t.Errorf("%s: %v", addr, err)
		}
		if err := CheckHTTP(addr, true); err != nil {
			t.Errorf("%s, remote: %v", addr, err)
		}
	}
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:http", "example.com:80", "127.1:80", "localhost.evil.example:80", "127.0.0.1:65536"} {
		if err := CheckHTTP(addr, true); err == nil {
			t.Errorf("%q is an address", addr)
		}
	}
	l, err := ListenHTTP(t.Context(), ":0", true)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
