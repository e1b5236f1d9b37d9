package engine

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestJoin(t *testing.T) {
	secluded(t)
	for _, group := range []string{"239.192.152.143:6771", "[ff15::efc0:988f]:6771"} {
		to := netip.MustParseAddrPort(group)
		all, err := network(NetworkConfig{}).Join(to)
		if err != nil || len(all) != 2 {
			t.Fatalf("%s: %v, %v", group, all, err)
		}
		again, err := network(NetworkConfig{}).Join(to)
		if err != nil {
			t.Fatalf("%s is not joined twice: %v", group, err)
		}
		for i := range all {
			if err := all[i].Send([]byte{'0' + byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range again {
			again[i].(*member).conn.SetReadDeadline(time.Now().Add(longEnough))
			for b := make([]byte, 10); b[0] != '0'+byte(i); { // over IPv6 it hears the other device as well, from off its link
				_, from, near, err := again[i].Receive(b)
				if err != nil || near != (b[0] == '0'+byte(i)) {
					t.Fatalf("%s, socket %d: %q from %v, near %v: %v", group, i, b[0], from, near, err)
				}
			}
		}
		for _, g := range append(all, again...) {
			g.Close()
			if _, _, _, err := g.Receive(nil); err == nil {
				t.Error("a closed group is read")
			}
		}
	}
}

func TestNear(t *testing.T) {
	d := device{on: []netip.Prefix{netip.MustParsePrefix("192.168.1.7/24"), netip.MustParsePrefix("2001:db8::7/64")}}
	for ip, want := range map[string]bool{
		"192.168.1.9": true, "192.168.2.9": false, "10.0.0.1": false, "127.0.0.1": false, "0.0.0.0": false,
		"169.254.1.1": true, "2001:db8::9": true, "2001:db8:1::9": false, "fe80::1%lan": true, "fd00::1": false, "::1": false,
	} {
		if got := d.near(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is near: %v", ip, got)
		}
	}
}

func TestJoinBound(t *testing.T) {
	secluded(t)
	four, six := netip.MustParseAddrPort("239.192.152.143:6771"), netip.MustParseAddrPort("[ff15::efc0:988f]:6771")
	for _, c := range []struct {
		bind string
		to   netip.AddrPort
		ok   bool
	}{
		{"lan", four, true}, {"lan", six, true}, {"10.1.2.1", four, true}, {"10.1.2.1", six, false}, {"lo", four, false},
	} {
		n := network(NetworkConfig{Bind: c.bind})
		groups, err := n.Join(c.to)
		if (err == nil) != c.ok || len(groups) > 1 {
			t.Errorf("bound to %s: %s: %d groups, %v", c.bind, c.to, len(groups), err)
		}
		for _, g := range groups {
			if name := g.(*member).Name; name != n.bound.device {
				t.Errorf("bound to %s: joined on %s", c.bind, name)
			}
			if err := g.Send([]byte("x")); err != nil {
				t.Error(err)
			}
			g.Close()
		}
	}
	n, before := network(NetworkConfig{}), ""
	if before = n.Links(); !strings.Contains(before, "10.1.1.1/24") {
		t.Errorf("the links are %q", before)
	}
	exec.Command("ip", "address", "add", "10.1.3.1/24", "dev", "lan").Run()
	if n.Links() == before {
		t.Error("another address is no change")
	}
	n = network(NetworkConfig{Proxy: "socks5://127.0.0.1:1"})
	if _, err := n.Join(four); !errors.Is(err, ErrProxied) {
		t.Errorf("behind a proxy: %v", err)
	}
}
