// Package integration holds the tests that no package can hold alone. The
// house test reads the source: which package imports which, which are pure,
// where the doors to the network are, who joins a goroutine, how long files
// and functions are, and what nothing is called.
package integration

import (
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
)

// room is what one package may import: of the house, and of others.
type room struct {
	ours, others []string
	pure         bool // no input or output, no clock, no goroutine, no lock, no global chance
}

// rooms is the plan of the house. A package that is not in it has no place yet:
// give it a row, and draw the arrow in docs/ARCHITECTURE.md.
var rooms = map[string]room{
	"wire":           {pure: true},
	"wire/bencode":   {pure: true, others: []string{"github.com/zeebo/bencode"}},
	"wire/extension": {pure: true, ours: []string{"wire", "wire/bencode"}},
	"wire/merkle":    {pure: true, ours: []string{"wire", "wire/bencode"}},
	"wire/peer":      {ours: []string{"wire", "wire/extension"}},
	"wire/webseed":   {ours: []string{"wire", "wire/extension"}},

	"handshake":     {ours: []string{"wire", "handshake/mse", "handshake/utp"}},
	"handshake/mse": {},
	"handshake/utp": {},

	"selection":        {pure: true, ours: []string{"wire"}},
	"diskcache":        {ours: []string{"wire", "wire/merkle", "diskcache/ledger", "diskcache/mend"}, others: []string{"github.com/dgraph-io/ristretto", "golang.org/x/sys"}},
	"diskcache/ledger": {pure: true, ours: []string{"wire"}},
	"diskcache/mend":   {pure: true, ours: []string{"wire"}},

	"engine": {ours: []string{"wire", "wire/bencode", "wire/extension", "wire/merkle", "wire/peer", "wire/webseed",
		"handshake", "handshake/utp", "selection", "diskcache", "engine/media", "engine/metainfo", "engine/discovery", "engine/control"},
		others: []string{"golang.org/x/sys", "golang.org/x/net/proxy"}}, // of its door to the network
	"engine/media":    {pure: true},
	"engine/metainfo": {ours: []string{"wire", "wire/bencode", "wire/merkle"}},
	"engine/discovery": {ours: []string{"wire", "wire/bencode"},
		others: []string{"github.com/anacrolix/dht", "github.com/anacrolix/log", "golang.org/x/time", "github.com/huin/goupnp/soap"}},
	"engine/discovery/tracker": {ours: []string{"wire", "wire/bencode"}},
	"engine/control":           {},

	"fs":        {others: []string{"github.com/hanwen/go-fuse", "golang.org/x/sys"}},
	"fs/keeper": {ours: []string{"fs"}, others: []string{"golang.org/x/sys"}},

	"cmd/bipfs/figure": {pure: true},
	"cmd/bipfs/web":    {ours: []string{"cmd/bipfs/figure", "engine/control"}, others: []string{"golang.org/x/net/webdav"}},
	"cmd/bipfs/top": {ours: []string{"cmd/bipfs/figure", "engine/control"},
		others: []string{"charm.land/bubbletea", "github.com/charmbracelet/x/ansi", "github.com/charmbracelet/x/term", "golang.org/x/sys"}}, // x/sys: its tests make a terminal
	"cmd/bipfs": {ours: []string{"cmd/bipfs/figure", "cmd/bipfs/top", "cmd/bipfs/web", "engine", "engine/control", "engine/metainfo", "engine/discovery/tracker", "fs", "fs/keeper", "wire"},
		others: []string{"github.com/alecthomas/kong", "github.com/BurntSushi/toml", "golang.org/x/sys"}},

	"docs":               {},
	"integration":        {others: []string{"golang.org/x/sys"}},
	"integration/replay": {},

	// The laboratory is no test, but it is test equipment: its seeders speak by our
	// own codec, and it measures beside a tree of go-fuse's own.
	"integration/lab": {ours: []string{"engine/metainfo", "integration/lab/reader", "integration/lab/static", "integration/lab/swarm"},
		others: []string{"golang.org/x/sys"}},
	"integration/lab/reader": {others: []string{"golang.org/x/sys"}},
	"integration/lab/static": {others: []string{"github.com/hanwen/go-fuse"}},
	"integration/lab/swarm":  {ours: []string{"wire", "wire/bencode", "wire/extension", "handshake", "handshake/mse", "engine/metainfo"}},
}

// files are the modules whose door is one file of its package, tests included.
var files = map[string]string{
	"github.com/anacrolix/dht": "engine/discovery/dht_node*.go",
	"github.com/anacrolix/log": "engine/discovery/dht_node*.go",
	"github.com/huin/goupnp":   "engine/discovery/portmap_upnp.go",
}

// testOthers is what any test may import besides.
var testOthers = []string{"go.uber.org/goleak"}

// rule finds what is wrong with one file.
type rule func(s *source) []string

// TestHouse holds every file of the house against every rule for one file.
func TestHouse(t *testing.T) {
	all := house(t)
	for name, r := range map[string]rule{
		"imports": importRule, "purity": purityRule, "network": networkRule, "goroutines": goroutineRule,
		"length": lengthRule, "names": nameRule,
	} {
		t.Run(name, func(t *testing.T) {
			var wrong []string
			for _, s := range all {
				wrong = append(wrong, r(s)...)
			}
			sort.Strings(wrong)
			for _, w := range slices.Compact(wrong) {
				t.Error(w)
			}
		})
	}
	t.Run("joins", func(t *testing.T) {
		for _, w := range joins(all) {
			t.Error(w)
		}
	})
	t.Run("layout", func(t *testing.T) {
		for _, w := range layout(all) {
			t.Error(w)
		}
	})
}

// importRule: a package imports what its row says. Tests may look into other
// packages of ours (two ends of a protocol are tested against each other), but
// modules of others keep to their one door in tests too.
func importRule(s *source) (wrong []string) {
	row, ok := rooms[s.pkg]
	if !ok {
		return []string{s.pkg + ": this package has no row in the plan of the house"}
	}
	for _, i := range s.tree.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		first, _, _ := strings.Cut(p, "/")
		switch {
		case first == module:
			of := strings.TrimPrefix(p, module+"/")
			if !s.test() && of != s.pkg && !slices.Contains(row.ours, of) {
				wrong = append(wrong, s.at(i)+": "+s.pkg+" may not import "+of)
			}
		case strings.Contains(first, "."):
			if !has(row.others, p) && !(s.test() && has(testOthers, p)) {
				wrong = append(wrong, s.at(i)+": "+p+" is not imported here; its door is "+door(p))
			}
			for of, file := range files {
				if here, _ := path.Match(file, s.name); has([]string{of}, p) && !here {
					wrong = append(wrong, s.at(i)+": "+p+" is imported in "+file+" only")
				}
			}
		case p == "C":
			wrong = append(wrong, s.at(i)+": cgo is off")
		}
	}
	return wrong
}

// door names the packages that may import a module.
func door(p string) string {
	var doors []string
	for pkg, row := range rooms {
		if has(row.others, p) {
			doors = append(doors, pkg)
		}
	}
	sort.Strings(doors)
	if len(doors) == 0 {
		return "not made yet"
	}
	return strings.Join(doors, ", ")
}

// layout: what stands at the top of the tree, and that each package is one.
func layout(all []*source) (wrong []string) {
	for _, s := range all {
		top, _, inside := strings.Cut(s.name, "/")
		if !inside || !slices.Contains([]string{"cmd", "fs", "engine", "selection", "wire", "diskcache", "handshake", "docs", "integration"}, top) {
			wrong = append(wrong, s.name+": Go files do not stand here")
		}
		if name := strings.TrimSuffix(s.tree.Name.Name, "_test"); name != "main" && name != s.pkg[strings.LastIndex(s.pkg, "/")+1:] {
			wrong = append(wrong, s.name+": package "+name+" is not called as its directory")
		}
	}
	return wrong
}
