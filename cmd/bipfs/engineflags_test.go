package main

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFlagsReachTheEngine: what flags mean there is looked at in package engine; here,
// that they come there.
func TestFlagsReachTheEngine(t *testing.T) {
	dir := t.TempDir()
	read := func(args ...string) *mountCommand {
		t.Helper()
		m, err := parseMount(append([]string{"mount", dir}, args...), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	const nothing = ""
	for _, args := range []struct{ flags, changes string }{
		{nothing, nothing},
		{"--seed-time 3h", "SeedTime"}, {"--seed-ratio 3", "SeedRatio"}, {"--max-seeding 3", "MaxSeeding"},
		{"--private-seed-time 3h", "PrivateSeedTime"}, {"--private-seed-ratio 3", "PrivateSeedRatio"},
		{"--no-pex", "NoPEX"}, {"--no-utp", "NoUTP"}, {"--no-dht", "DHT"}, {"--no-port-map", "NoPortMap"}, {"--lsd", "LSD"},
		{"--dht-node 127.0.0.1:1", "DHTNodes"}, {"--listen 127.0.0.1:1", "Listen"}, {"--peer 127.0.0.1:1", "Peers"},
		{"--no-upload", "NoUpload"}, {"--encryption require", "Encryption"}, {"--bind lo", "Bind"}, {"--proxy socks5://127.0.0.1:1", "Proxy"},
		{"--blocklist x", "Blocklist"}, {"--read-timeout 3s", "ReadTimeout"}, {"--keep-free 3MiB", "KeepFree"}, {"--memory 99MiB", "Memory"},
		{"--disk 3MiB", "Disk"}, {"--max-peers 3", "MaxPeers"}, {"--max-peers-per-torrent 3", "MaxTorrentPeers"},
		{"--down 3MB/s", "Limits"}, {"--up 3MB/s", "Limits"}, {"--background 3MB/s", "Limits"},
	} {
		var got []reflect.Value
		for _, given := range [][]string{nil, strings.Fields(args.flags)} {
			m := read(given...)
			cfg, err := m.config(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			m.bounds(&cfg)
			got = append(got, reflect.ValueOf(cfg))
		}
		var changed []string
		for i := range got[0].NumField() {
			if got[0].Type().Field(i).IsExported() && !reflect.DeepEqual(got[0].Field(i).Interface(), got[1].Field(i).Interface()) {
				changed = append(changed, got[0].Type().Field(i).Name)
			}
		}
		if !slices.Equal(changed, strings.Fields(args.changes)) {
			t.Errorf("%s changes %v, not %s", args.flags, changed, args.changes)
		}
	}
}

// TestDockerfile: what the image runs are commands of this program, and what it sets are
// settings. (TestContainer of package integration runs them. That docker builds it is
// not looked at: there is none where the tests run.)
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile("dist/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^(?:HEALTHCHECK .*)?(?:CMD) (\[.*\])$`).FindAllStringSubmatch(string(text), -1) {
		var argv []string
		if err := json.Unmarshal([]byte(line[1]), &argv); err != nil {
			t.Fatalf("%s: %v", line[0], err)
		}
		argv = argv[slices.Index(argv, "/bin/bipfs")+1:]
		ctx, err := newParser(&commands{}, streams{}, &configuration{values: settings{}}).Parse(argv)
		if err != nil {
			t.Fatalf("%s: %v", line[0], err)
		}
		called[ctx.Selected().Name] = line[0]
	}
	known := settable(newModel())
	set := regexp.MustCompile(`\bBIPFS_(\w+)=`).FindAllStringSubmatch(string(text), -1)
	for _, name := range set {
		if key := strings.ToLower(strings.ReplaceAll(name[1], "_", "-")); known[key] == nil {
			t.Errorf("%s is no setting", name[0])
		}
	}
	if len(set) == 0 || len(called) != 2 || called["mount"] == "" || called["status"] == "" || !strings.Contains(string(text), `ENTRYPOINT ["/bin/bipfs"]`) {
		t.Errorf("it runs %q", called)
	}
}
