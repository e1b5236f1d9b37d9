package discovery

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const located = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nEXT:\r\nLOCATION: %s\r\n\r\n"

func igd(string) []from {
	return []from{{"192.168.1.1", fmt.Sprintf(located, "http://192.168.1.1:5000/d/root.xml")}}
}

// description is one with a service inside two devices.
func description(base, kind, control string) string {
	return `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0">` + base + `<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL></service></serviceList>
<deviceList><device><deviceList><device><serviceList>
<service><serviceType>` + kind + `</serviceType><controlURL>` + control + `</controlURL></service>
</serviceList></device></deviceList></device></deviceList></device></root>`
}

const ipConnection = "urn:schemas-upnp-org:service:WANIPConnection:1"

func envelope(body string) string {
	return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>` + body + `</s:Body></s:Envelope>`
}

func fault(code int) string {
	return envelope(fmt.Sprintf(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode></UPnPError></detail></s:Fault>`, code))
}

// igdHTTP is a router whose first faults calls fail with these codes.
func igdHTTP(faults ...int) func(*http.Request, string) (int, string) {
	return func(req *http.Request, body string) (int, string) {
		switch {
		case req.Method == http.MethodGet:
			return 200, description("", ipConnection, "/ctl")
		case strings.Contains(body, "GetExternalIPAddress"):
			return 200, envelope(`<u:GetExternalIPAddressResponse xmlns:u="` + ipConnection + `"><NewExternalIPAddress>20.0.0.1</NewExternalIPAddress></u:GetExternalIPAddressResponse>`)
		}
		code := 0
		if len(faults) > 0 {
			code, faults = faults[0], faults[1:]
		}
		if code != 0 {
			return 500, fault(code)
		}
		return 200, envelope(`<u:OK xmlns:u="` + ipConnection + `"></u:OK>`)
	}
}

func TestUPnP(t *testing.T) {
	for _, c := range []struct {
		name     string
		faults   []int
		external string
		last     string // in the last AddPortMapping
	}{
		{"at once", nil, "20.0.0.1:6881", "<NewLeaseDuration>3600<"},
		{"permanent leases only", []int{permanentOnly}, "20.0.0.1:6881", "<NewLeaseDuration>0<"},
		{"port taken", []int{portTaken, portTaken, portTaken}, "20.0.0.1:6884", "<NewExternalPort>6884<"},
		{"all ports taken", []int{718, 718, 718, 718, 718, 718, 718, 718}, "invalid AddrPort", ""},
		{"refused", []int{606}, "invalid AddrPort", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var last string
			answer := igdHTTP(c.faults...)
			r := &router{control: pmpRefusal, ssdp: igd}
			r.http = func(req *http.Request, body string) (int, string) {
				if strings.Contains(body, "AddPortMapping") {
					last = body
				}
				return answer(req, body)
			}
			portMap(t, r, func(m *PortMap) {
				time.Sleep(10 * time.Second)
				if got := m.External(ourPort).String(); got != c.external {
					t.Errorf("mapped to %s, want %s", got, c.external)
				}
				if !strings.Contains(last, c.last) || !strings.Contains(last, "<NewInternalClient>192.168.1.7<") || !strings.Contains(last, "<NewProtocol>TCP<") {
					t.Errorf("the last request was %s", last)
				}
			})
			if at := strings.Join(r.asked, ", "); c.last != "" && !strings.HasSuffix(at, "DeletePortMapping") {
				t.Errorf("not taken back: %s", at)
			}
		})
	}
}

// TestUPnPHostile: whoever answers a search, and whatever it says, nothing but
// the router is spoken to, and it ends.
func TestUPnPHostile(t *testing.T) {
	say := func(where ...string) func(string) []from {
		return func(string) (all []from) {
			for _, w := range where {
				all = append(all, from{"192.168.1.1", fmt.Sprintf(located, w)})
			}
			return all
		}
	}
	const home = "http://192.168.1.1:5000/d/root.xml"
	serve := func(body string) func(*http.Request, string) (int, string) {
		return func(req *http.Request, _ string) (int, string) {
			if req.Method == http.MethodGet {
				return 200, body
			}
			return 200, envelope("")
		}
	}
	for name, r := range map[string]*router{
		"another host":    {ssdp: say("http://192.168.1.2:80/", "http://169.254.169.254/latest", "http://127.0.0.1:631/", "http://router/", "http://192.168.1.1.evil/")},
		"another scheme":  {ssdp: say("https://192.168.1.1/", "file:///etc/passwd", "gopher://192.168.1.1/", "//192.168.1.1/", "", "http:192.168.1.1")},
		"a user, a port":  {ssdp: say("http://a@192.168.1.1/", "http://192.168.1.1:0/", "http://192.168.1.1:65536/", "http://192.168.1.1:x/")},
		"another answers": {ssdp: func(string) []from { return []from{{"192.168.1.2", fmt.Sprintf(located, home)}} }},
		"no HTTP":         {ssdp: func(string) []from { return []from{{"192.168.1.1", "\x00"}, {"192.168.1.1", ""}} }},
		"not found": {ssdp: func(string) []from {
			return []from{{"192.168.1.1", "HTTP/1.1 404 No\r\nLocation: " + home + "\r\n\r\n"}}
		}},
		"no XML":            {ssdp: say(home), http: serve("<html><body>hello")},
		"deep XML":          {ssdp: say(home), http: serve("<root>" + strings.Repeat("<device><deviceList>", 6000))},
		"entities":          {ssdp: say(home), http: serve(`<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><root>&b;</root>`)},
		"no service":        {ssdp: say(home), http: serve("<root><device></device></root>")},
		"another service":   {ssdp: say(home), http: serve(description("", "urn:x:service:Other:1", "/ctl"))},
		"control elsewhere": {ssdp: say(home), http: serve(description("", ipConnection, "http://192.168.1.2/ctl"))},
		"control of a name": {ssdp: say(home), http: serve(description("", ipConnection, "//localhost/ctl"))},
		"base elsewhere":    {ssdp: say(home), http: serve(description("<URLBase>http://169.254.169.254/</URLBase>", ipConnection, "/ctl"))},
		"too many services": {ssdp: say(home), http: serve("<root><device><serviceList>" + strings.Repeat("<service></service>", mostServices) + "<service><serviceType>" + ipConnection + "</serviceType><controlURL>/</controlURL></service></serviceList></device></root>")},
		"silent HTTP":       {ssdp: say(home), http: func(*http.Request, string) (int, string) { return 0, "" }},
		"many places":       {ssdp: say(home, home, home+"1", home+"2", home+"3", home+"4"), http: serve("")},
		"a fault without code": {ssdp: say(home), http: func(req *http.Request, b string) (int, string) {
			if req.Method == http.MethodGet {
				return 200, description("", ipConnection, "/ctl")
			}
			return 500, "<oops"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r.control = pmpRefusal
			portMap(t, r, func(m *PortMap) {
				time.Sleep(50 * time.Second)
				if m.External(ourPort).Port() != 0 {
					t.Error("mapped")
				}
				places := map[string]bool{}
				for _, note := range strings.Split(r.notes(), ", ") {
					_, what, _ := strings.Cut(note, ": ")
					if places[what] = true; strings.HasPrefix(what, "http") && !strings.HasPrefix(what, home) {
						t.Errorf("%s was fetched", what)
					}
				}
				if len(places) > 4+searchPlaces {
					t.Errorf("asked for %v", places)
				}
			})
		})
	}
}

func TestDescription(t *testing.T) {
	where, _ := url.Parse("http://192.168.1.1:5000/d/root.xml")
	for _, c := range []struct{ base, control, want string }{
		{"", "/ctl", "http://192.168.1.1:5000/ctl"},
		{"", "ctl?x", "http://192.168.1.1:5000/d/ctl?x"},
		{"", "http://192.168.1.1:49152/ctl", "http://192.168.1.1:49152/ctl"},
		{"", " http://[::ffff:192.168.1.1]/ctl\n", "http://[::ffff:192.168.1.1]/ctl"},
		{"<URLBase>http://192.168.1.1:80/x/</URLBase>", "ctl", "http://192.168.1.1:80/x/ctl"},
	} {
		s, err := parseDescription([]byte(description(c.base, ipConnection, c.control)), where, atHome)
		if err != nil || s.control.String() != c.want {
			t.Errorf("%v: %v, %v", c, s, err)
		}
	}
}

func FuzzUPnP(f *testing.F) {
	where, _ := url.Parse("http://192.168.1.1:5000/")
	f.Add([]byte(fmt.Sprintf(located, where)))
	f.Add([]byte(description("<URLBase>http://192.168.1.1/</URLBase>", ipConnection, "/ctl")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := parseLocation(b, atHome); err == nil && u.Hostname() != "192.168.1.1" && u.Hostname() != "::ffff:192.168.1.1" {
			t.Fatalf("%q leads to %v", b, u)
		}
		if s, err := parseDescription(b, where, atHome); err == nil && s.control.Hostname() != "192.168.1.1" && s.control.Hostname() != "::ffff:192.168.1.1" {
			t.Fatalf("%q leads to %v", b, s.control)
		}
	})
}
