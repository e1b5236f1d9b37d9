package integration

import (
	"fmt"
	"strings"
	"testing"
)

// TestRulesCatch plants one fault after the other and wants each to be found:
// a rule that finds nothing proves nothing.
func TestRulesCatch(t *testing.T) {
	long := strings.Repeat("\t_ = 1\n", maxFunction)
	for _, c := range []struct {
		name string
		rule rule
		file string
		text string // without the package clause
		want string // a part of what is found; "" is nothing
	}{
		{"own packages", importRule, "selection/x.go", `import _ "bipfs/wire"`, ""},
		{"a layer too far", importRule, "selection/x.go", `import _ "bipfs/diskcache"`, "selection may not import diskcache"},
		{"a layer below a layer", importRule, "wire/peer/x.go", `import _ "bipfs/wire/bencode"`, "wire/peer may not import wire/bencode"},
		{"a test may", importRule, "selection/x_test.go", `import _ "bipfs/diskcache"`, ""},
		{"a module elsewhere", importRule, "engine/x.go", `import _ "github.com/zeebo/bencode"`, "its door is wire/bencode"},
		{"a module elsewhere, in a test", importRule, "engine/x_test.go", `import _ "github.com/zeebo/bencode"`, "its door is wire/bencode"},
		{"a module at its door", importRule, "fs/x.go", `import _ "github.com/hanwen/go-fuse/v2/fuse"`, ""},
		{"a module like its name", importRule, "fs/x.go", `import _ "github.com/hanwen/go-fusex"`, "not made yet"},
		{"a module at its file", importRule, "engine/discovery/dht_node.go", `import _ "github.com/anacrolix/dht/v2/krpc"`, ""},
		{"a module beside its file", importRule, "engine/discovery/dht.go", `import _ "github.com/anacrolix/dht/v2"`, "in engine/discovery/dht_node*.go only"},
		{"goleak in a test", importRule, "fs/x_test.go", `import _ "go.uber.org/goleak"`, ""},
		{"goleak outside", importRule, "fs/x.go", `import _ "go.uber.org/goleak"`, "is not imported here"},
		{"a new package", importRule, "engine/x/x.go", ``, "has no row"},
		{"cgo", importRule, "fs/x.go", `import "C"`, "cgo is off"},

		{"net", purityRule, "wire/x.go", `import _ "net"`, "may not import net"},
		{"net/http", purityRule, "wire/x.go", `import _ "net/http"`, "may not import net/http"},
		{"net/netip", purityRule, "wire/x.go", `import _ "net/netip"`, ""},
		{"sync/atomic", purityRule, "selection/x.go", `import _ "sync/atomic"`, "may not import sync/atomic"},
		{"context", purityRule, "diskcache/ledger/x.go", `import _ "context"`, "may not import context"},
		{"the old rand", purityRule, "selection/x.go", `import _ "math/rand"`, "may not import math/rand"},
		{"a seeded rand", purityRule, "selection/x.go", "import \"math/rand/v2\"\nvar r = rand.New(rand.NewPCG(1, 2))", ""},
		{"a global rand", purityRule, "selection/x.go", "import \"math/rand/v2\"\nvar r = rand.IntN(2)", "chance has a seed"},
		{"a clock", purityRule, "selection/x.go", "import \"time\"\nvar t = time.Now()", "time is an argument"},
		{"a renamed clock", purityRule, "selection/x.go", "import now \"time\"\nvar t = now.Since(x)", "time is an argument"},
		{"a duration", purityRule, "selection/x.go", "import \"time\"\nvar t = time.Second", ""},
		{"go", purityRule, "selection/x.go", "func f() { go f() }", "no goroutines"},
		{"a channel", purityRule, "selection/x.go", "var c chan int", "no channels"},
		{"a test's clock", purityRule, "selection/x_test.go", "import \"time\"\nvar t = time.Now()", ""},
		{"not pure", purityRule, "engine/x.go", "import \"time\"\nvar t = time.Now()", ""},

		{"dial", networkRule, "handshake/x.go", "import \"net\"\nvar c, _ = net.DialTimeout()", "net.DialTimeout goes around"},
		{"dialer", networkRule, "handshake/x.go", "import \"net\"\nvar d net.Dialer", "net.Dialer goes around"},
		{"listen", networkRule, "cmd/bipfs/x.go", "import \"net\"\nvar l, _ = net.ListenTCP()", "net.ListenTCP goes around"},
		{"listen config", networkRule, "cmd/bipfs/x.go", "import \"net\"\nvar l net.ListenConfig", "net.ListenConfig goes around"},
		{"listener", networkRule, "handshake/x.go", "import \"net\"\nfunc f(l net.Listener) {}", ""},
		{"look-up", networkRule, "engine/x.go", "import \"net\"\nvar a, _ = net.LookupHost()", "net.LookupHost goes around"},
		{"http.Get", networkRule, "engine/x.go", "import \"net/http\"\nvar a, _ = http.Get()", "http.Get goes around"},
		{"a client of its own", networkRule, "engine/x.go", "import \"net/http\"\nvar a = &http.Client{}", "http.Client goes around"},
		{"a client given", networkRule, "engine/x.go", "import \"net/http\"\nvar a *http.Client", ""},
		{"a method called Get", networkRule, "engine/x.go", "var a = client.Get()", ""},
		{"a dot import", networkRule, "engine/x.go", "import . \"net\"", "hides its uses"},
		{"at the door", networkRule, "engine/network_http.go", "import \"net\"\nvar d net.Dialer", ""},
		{"a unix socket", networkRule, "engine/control/socket.go", "import \"net\"\nvar l, _ = net.ListenUnix()", ""},
		{"a unix socket elsewhere", networkRule, "engine/control/serve.go", "import \"net\"\nvar l, _ = net.DialUnix()", "net.DialUnix goes around"},
		{"a unix socket of sd_notify", networkRule, "cmd/bipfs/notify.go", "import \"golang.org/x/sys/unix\"\nvar s, _ = unix.Socket()", ""},
		{"more than that", networkRule, "cmd/bipfs/notify.go", "import \"golang.org/x/sys/unix\"\nvar err = unix.Connect()", "unix.Connect goes around"},
		{"more than a unix socket", networkRule, "engine/control/socket.go", "import \"net\"\nvar l, _ = net.Dial()", "net.Dial goes around"},
		{"in a test", networkRule, "engine/x_test.go", "import \"net\"\nvar d net.Dialer", ""},

		{"bare go", goroutineRule, "fs/x.go", "func f() { go f() }", "a bare go statement"},
		{"go with a reason", goroutineRule, "fs/x.go", "func f() {\n// Not joined: it is in the kernel.\ngo f()\n}", ""},
		{"go with another comment", goroutineRule, "fs/x.go", "func f() {\n// Starts f.\ngo f()\n}", "a bare go statement"},
		{"bare go in a test", goroutineRule, "fs/x_test.go", "func f() { go f() }", ""},
		{"a stop thrown away", goroutineRule, "fs/x.go", "import \"context\"\nfunc f() { context.AfterFunc(c, f) }", "thrown away"},
		{"a stop kept", goroutineRule, "fs/x.go", "import \"context\"\nfunc f() { defer context.AfterFunc(c, f)() }", ""},
		{"a timer's goroutine", goroutineRule, "fs/x.go", "import \"time\"\nfunc f() { t := time.AfterFunc(1, f) }", "nobody joins"},
		{"Go without Wait", one(joins), "fs/x.go", "func f() { s.wg.Go(f) }", "nobody calls wg.Wait"},
		{"Go with another's Wait", one(joins), "fs/x.go", "func f() { s.wg.Go(f); s.other.Wait() }", "nobody calls wg.Wait"},
		{"Go with Wait", one(joins), "fs/x.go", "func f() { s.wg.Go(f); t.wg.Wait() }", ""},

		{"a long function", lengthRule, "fs/x.go", "func f() {\n" + long + "}", "f has 72 lines"},
		{"a function that just fits", lengthRule, "fs/x.go", "// f\n// g\nfunc f() {\n" + long[:len(long)-2*len("\t_ = 1\n")] + "}", ""},
		{"a long file", lengthRule, "fs/x.go", strings.Repeat("//\n", maxFile), "lines, 400 at most"},
		{"a long test", lengthRule, "fs/x_test.go", strings.Repeat("//\n", maxFile), ""},

		{"a package name", nameRule, "engine/util/x.go", "", "nothing is called util"},
		{"a file name", nameRule, "engine/peer_manager.go", "", "nothing is called manager"},
		{"a test file name", nameRule, "engine/helpers_test.go", "", "nothing is called helpers"},
		{"a file of types", nameRule, "engine/types.go", "", "nothing is called types"},
		{"a type", nameRule, "engine/x.go", "type ChunkMap int", "nothing is called chunk"},
		{"a variable", nameRule, "engine/x.go", "func f() { pathSegments := 1 }", "nothing is called segments"},
		{"a field", nameRule, "engine/x.go", "type t struct { impl int }", "nothing is called impl"},
		{"an argument", nameRule, "engine/x.go", "func f(subpiece int) {}", "nothing is called subpiece"},
		{"a good word", nameRule, "engine/x.go", "func simplify(common, utility int) {}", ""},

		{"at the top", one(layout), "x.go", "", "Go files do not stand here"},
		{"another top", one(layout), "internal/x.go", "", "Go files do not stand here"},
		{"a package of another name", one(layout), "engine/metainfo/x.go", "", "is not called as its directory"},
	} {
		s, err := parse(c.file, "package x\n"+c.text+"\n")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := fmt.Sprint(c.rule(s))
		if c.want == "" && got != "[]" || !strings.Contains(got, c.want) {
			t.Errorf("%s: found %s, want %q", c.name, got, c.want)
		}
	}
}

// one makes a rule for all files one for a single file.
func one(r func([]*source) []string) rule { return func(s *source) []string { return r([]*source{s}) } }
