package engine

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"bipfs/engine/discovery"
)

func TestDefaultRoute(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	line := func(device, to, via, flags, metric, mask string) string {
		return strings.Join([]string{device, to, via, flags, "0", "0", metric, mask, "0", "0", "0"}, "\t") + "\n"
	}
	// 192.168.1.1 and 10.0.0.1, as a little-endian machine has them.
	a, b := line("eth0", "00000000", "0101A8C0", "0003", "100", "00000000"), line("wlan0", "00000000", "0100000A", "0003", "600", "00000000")
	for table, want := range map[string]string{
		head: "invalid IP ", head + a: "192.168.1.1 eth0", head + b + a: "192.168.1.1 eth0",
		head + line("eth0", "0001A8C0", "00000000", "0001", "0", "00FFFFFF") + b: "10.0.0.1 wlan0",
		line("tun0", "00000000", "00000000", "0001", "0", "00000000") + b:        "10.0.0.1 wlan0", // no router
		line("tun0", "00000000", "0101A8C0", "0003", "0", "00000080") + b:        "10.0.0.1 wlan0", // half of the world
		line("eth0", "00000000", "0101A8C0", "0002", "0", "00000000") + b:        "10.0.0.1 wlan0", // down
		line("eth0", "00000000", "x", "0003", "0", "00000000"):                   "invalid IP ",
		line("eth0", "00000000", "0101A8C0", "0003", "-1", "00000000"):           "invalid IP ",
		"eth0 00000000 0101A8C0 0003\n\n":                                        "invalid IP ",
		strings.Repeat("x", 1<<20):                                               "invalid IP ",
	} {
		if router, device := defaultRoute(strings.NewReader(table), ""); router.String()+" "+device != want {
			t.Errorf("%.200q: %v behind %s, want %s", table, router, device, want)
		}
	}
	if router, device := defaultRoute(strings.NewReader(head+a+b), "wlan0"); device != "wlan0" {
		t.Errorf("bound to wlan0: %v behind %s", router, device)
	}
}

func TestGateway(t *testing.T) {
	secluded(t)
	gateway := func(c NetworkConfig) string {
		g, err := network(c).Gateway()
		if err != nil {
			return err.Error()
		}
		return g.Local.String() + " by " + g.Router.String()
	}
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v %s", args, err, out)
		}
	}
	for _, c := range []struct{ ip, bind, want string }{
		{"", "", errNoRouter.Error()},
		{"route add default via 10.1.1.254 dev lan metric 5", "", "10.1.1.1 by 10.1.1.254"},
		{"", "lan", "10.1.1.1 by 10.1.1.254"}, {"", "10.1.1.1", "10.1.1.1 by 10.1.1.254"},
		{"", "other", errNoRouter.Error()},
		{"route add default via 10.1.2.254 dev other metric 6", "other", "10.1.2.1 by 10.1.2.254"},
		{"", "", "10.1.1.1 by 10.1.1.254"},
		{"address add 20.0.0.1/24 dev lan", "", "10.1.1.1 by 10.1.1.254"},
		{"route add default via 20.0.0.254 dev lan metric 4", "", errNoNAT.Error()},
		{"link set lan down", "", "10.1.2.1 by 10.1.2.254"},
	} {
		if c.ip != "" {
			ip(c.ip)
		}
		if got := gateway(NetworkConfig{Bind: c.bind}); got != c.want {
			t.Errorf("after %q, bound to %q: %s, want %s", c.ip, c.bind, got, c.want)
		}
	}
}

// TestGatewayClient: the client of a router reaches only that, and no answer of
// it is too long.
func TestGatewayClient(t *testing.T) {
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	atHome := discovery.Gateway{Router: netip.MustParseAddr("127.0.0.1"), Local: netip.MustParseAddr("127.0.0.1")}
	var elsewhere bool
	other, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/redirect":
			http.Redirect(w, req, "/most", http.StatusFound)
		case "/other":
			elsewhere = true
			http.Redirect(w, req, "http://"+other.Addr().String(), http.StatusFound)
		case "/most":
			w.Write(make([]byte, discovery.MaxDescription))
		case "/more":
			w.Write(make([]byte, discovery.MaxDescription+1))
		case "/endless":
			for req.Context().Err() == nil {
				w.Write(make([]byte, 64<<10))
			}
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 2*MaxHeader))
		}
	}))
	defer server.Close()
	client := network(NetworkConfig{UserAgent: "bipfs/0"}).GatewayClient(atHome)
	client.Timeout = longEnough
	for path, want := range map[string]error{
		"/most": nil, "/more": ErrTooLong, "/endless": ErrTooLong, "/redirect": ErrRedirect, "/other": ErrRedirect, "/header": errors.ErrUnsupported,
	} {
		res, err := client.Get(server.URL + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if !errors.Is(err, want) && (want != errors.ErrUnsupported || err == nil) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	for _, url := range []string{"http://" + other.Addr().String(), "http://localhost:80/", "http://169.254.169.254/", "http://[::1]:80/"} {
		if _, err := client.Get(url); !errors.Is(err, ErrLocalAddress) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if !elsewhere {
		t.Error("the redirect was not tried")
	}
	if _, err := network(NetworkConfig{}).GatewayClient(discovery.Gateway{Router: netip.MustParseAddr("20.0.0.1")}).Get("http://20.0.0.1/"); !errors.Is(err, ErrLocalAddress) {
		t.Errorf("a router in the world: %v", err)
	}
}

func TestGatewayProxied(t *testing.T) {
	n := network(NetworkConfig{Proxy: "socks5://127.0.0.1:1"})
	g := discovery.Gateway{Router: netip.MustParseAddr("127.0.0.1"), Local: netip.MustParseAddr("127.0.0.1")}
	_, err := n.Gateway()
	_, err2 := n.DialGateway(t.Context(), g, 5351)
	_, err3 := n.SearchGateway(t.Context(), g)
	_, err4 := n.GatewayClient(g).Get("http://127.0.0.1:1/")
	for i, err := range []error{err, err2, err3, err4} {
		if !errors.Is(err, ErrProxied) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
