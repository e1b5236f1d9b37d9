package engine

import (
	"net/netip"
	"strings"
	"testing"
)

func TestLocal(t *testing.T) {
	for _, ip := range strings.Fields(`
		0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255
		169.254.169.254 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 192.0.0.170 198.18.0.1 198.19.255.255
		224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
		:: ::1 fc00:: fdff:ffff:: fe80::1 fe80::1%eth0 febf:: fec0::1 ff02::1 100::1 64:ff9b:1::1
		::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 2002:7f00:1:: 2002:c0a8:101::1`) {
		if !Local(netip.MustParseAddr(ip)) {
			t.Errorf("%s is not local", ip)
		}
	}
	for _, ip := range strings.Fields(`
		1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
		172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
		2001:4860:4860::8888 2a00:1450::1 fbff:: ::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101:: 2001:db8::1`) {
		if Local(netip.MustParseAddr(ip)) {
			t.Errorf("%s is local", ip)
		}
	}
	if !Local(netip.Addr{}) {
		t.Error("no address is in the world")
	}
}

func TestAnnouncePath(t *testing.T) {
	for _, p := range []string{"/announce", "/announce.php", "/key/announce", "/a/b/c/announce.x", "announce"} {
		if !announcePath(p) {
			t.Errorf("%q is no path of a tracker", p)
		}
	}
	for _, p := range []string{"", "/", "/announce/", "/announce/reboot", "/announced", "/xannounce", "/Announce", "/announce.html5",
		"/announce.php.cgi", "/a%2Fannounce", "/announce.p%70", "/%61nnounce", "/announce;x", "/announce..", "/reboot"} {
		if announcePath(p) {
			t.Errorf("%q is a path of a tracker", p)
		}
	}
}

func TestCredible(t *testing.T) {
	for _, l := range []struct {
		from string
		yes  string
		no   string
	}{
		{"1.1.1.1", "8.8.8.8:1 [2001:4860::1]:65535",
			"8.8.8.8:0 127.0.0.1:1 10.0.0.1:1 192.168.1.1:80 169.254.169.254:80 100.64.0.1:1 [::1]:1 [fe80::1]:1 [fd00::1]:1 [::ffff:10.0.0.1]:1 [64:ff9b::7f00:1]:1"},
		{"192.168.1.1", "8.8.8.8:1 10.0.0.1:1 192.168.1.7:80 [fd00::1]:1", "127.0.0.1:1 [::1]:1 169.254.169.254:80 [fe80::1]:1"},
		{"fe80::1", "8.8.8.8:1 [fe80::2]:1 169.254.1.1:1", "127.0.0.1:1"},
		{"127.0.0.1", "8.8.8.8:1 127.0.0.9:1 192.168.1.1:1 [::1]:1", "0.0.0.0:1 0.1.2.3:1 [::]:1 224.0.0.1:1 255.255.255.255:1 [ff02::1]:1 127.0.0.1:0"},
		{"::ffff:127.0.0.1", "127.0.0.1:1", "0.0.0.0:1"},
	} {
		from := netip.MustParseAddr(l.from)
		for _, a := range strings.Fields(l.yes) {
			if !credible(netip.MustParseAddrPort(a), from) {
				t.Errorf("%s from %s is not taken", a, from)
			}
		}
		for _, a := range strings.Fields(l.no) {
			if credible(netip.MustParseAddrPort(a), from) {
				t.Errorf("%s from %s is taken", a, from)
			}
		}
	}
	if credible(netip.AddrPort{}, netip.MustParseAddr("1.1.1.1")) {
		t.Error("no address is taken")
	}
}
