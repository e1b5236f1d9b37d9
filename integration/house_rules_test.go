package integration

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// impure are packages that a pure package must not import.
var impure = []string{"net", "os", "sync", "context", "log", "syscall", "unsafe", "runtime", "crypto/rand", "math/rand",
	"io/ioutil", "time/tzdata", "testing", "embed", "plugin"}

// clocks are the names of package time that read a clock or wait for it.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// chances are the names of math/rand/v2 that need a seed; all others draw from
// the global source.
var chances = []string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "PCG", "ChaCha8", "Source", "Zipf"}

// purityRule: a pure package has no way to the outside. Time and chance are
// arguments.
func purityRule(s *source) (wrong []string) {
	if !rooms[s.pkg].pure || s.test() {
		return nil
	}
	for _, i := range s.tree.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		if has(impure, p) && p != "net/netip" && p != "math/rand/v2" {
			wrong = append(wrong, s.at(i)+": "+s.pkg+" is pure and may not import "+p)
		}
	}
	s.uses(func(pkg, name string, n ast.Node) {
		if pkg == "time" && slices.Contains(clocks, name) {
			wrong = append(wrong, s.at(n)+": "+s.pkg+" is pure: time is an argument, not time."+name)
		}
		if pkg == "math/rand/v2" && !slices.Contains(chances, name) {
			wrong = append(wrong, s.at(n)+": "+s.pkg+" is pure: chance has a seed, not rand."+name)
		}
	})
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			wrong = append(wrong, s.at(n)+": "+s.pkg+" is pure: no goroutines, no channels")
		}
		return true
	})
	return wrong
}

// doors are the names that lead to the network. A prefix ends in "*".
var doors = map[string][]string{
	"net": {"Dial*", "Listen", "ListenTCP", "ListenUDP", "ListenIP", "ListenUnix*", "ListenPacket", "ListenMulticast*", "ListenConfig", "Resolver", "DefaultResolver", "Lookup*", "Resolve*", "FileConn", "FileListener", "FilePacketConn"},
	"net/http": {"DefaultClient", "DefaultTransport", "Get", "Head", "Post", "PostForm", "ListenAndServe*", "Client{}", "Transport",
		"ProxyFromEnvironment"},
	"crypto/tls":            {"Dial*", "Listen"},
	"syscall":               {"Socket", "Connect", "Bind", "Listen", "Sendto"},
	"golang.org/x/sys/unix": {"Socket", "Connect", "Bind", "Listen", "Sendto"},
	"net/smtp":              {"*"}, "net/rpc": {"*"}, "os/exec": {"curl"},
}

// isDoor reports whether s may use them: it is the door, or a test, or the swarm
// of the laboratory, which is what tests meet outside.
func isDoor(s *source) bool {
	ok, _ := path.Match("engine/network*.go", s.name)
	return ok || s.test() || s.pkg == "integration/lab/swarm"
}

// sockets are the names that lead no further than a unix socket, by the files that
// may use them: that of the control socket, and that of $NOTIFY_SOCKET.
var sockets = map[string][]string{
	"engine/control/socket.go": {"net.DialUnix", "net.ListenUnix"},
	"cmd/bipfs/notify.go":      {"unix.Socket"},
}

// networkRule: there is one door to the network. (&http.Client{} uses the
// transport of everybody; as a type, in a field say, a client is welcome.)
func networkRule(s *source) (wrong []string) {
	if isDoor(s) {
		return nil
	}
	made := make(map[ast.Node]bool)
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if c, ok := n.(*ast.CompositeLit); ok {
			made[c.Type] = true
		}
		return true
	})
	for _, i := range s.tree.Imports {
		if i.Name != nil && i.Name.Name == "." {
			wrong = append(wrong, s.at(i)+": a dot import hides its uses")
		}
	}
	s.uses(func(pkg, name string, n ast.Node) {
		if slices.Contains(sockets[s.name], path.Base(pkg)+"."+name) {
			return
		}
		for _, way := range doors[pkg] {
			prefix, isPrefix := strings.CutSuffix(way, "*")
			literal, isLiteral := strings.CutSuffix(way, "{}")
			if isPrefix && strings.HasPrefix(name, prefix) || isLiteral && name == literal && made[n] || name == way {
				wrong = append(wrong, fmt.Sprintf("%s: %s.%s goes around engine/network.go", s.at(n), path.Base(pkg), name))
			}
		}
	})
	return wrong
}

// goroutineRule: outside tests a goroutine is started by the Go method of a
// sync.WaitGroup, so that it has an owner who joins it; joins checks that it
// does. One that nobody can join, because only the kernel can end it, says so in
// the comment above it. context.AfterFunc is allowed to those who keep its stop
// function.
func goroutineRule(s *source) (wrong []string) {
	if s.test() {
		return nil
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if !s.commented(n, "Not joined:") {
				wrong = append(wrong, s.at(n)+": a bare go statement; use the Go method of a sync.WaitGroup that its owner waits for, or say above it why nobody can: Not joined: …")
			}
		case *ast.ExprStmt:
			if call, ok := n.X.(*ast.CallExpr); ok && calls(s, call, "context", "AfterFunc") {
				wrong = append(wrong, s.at(n)+": the stop function of context.AfterFunc is thrown away")
			}
		case *ast.CallExpr:
			if calls(s, n, "time", "AfterFunc") {
				wrong = append(wrong, s.at(n)+": nobody joins what time.AfterFunc starts; use a timer's channel")
			}
		}
		return true
	})
	return wrong
}

func calls(s *source, call *ast.CallExpr, pkg, name string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && s.imports()[x.Name] == pkg
}

// joins: what is started by x.Go(…) is waited for by x.Wait() in the same
// package. Groups are told apart by the last word of x.
func joins(all []*source) (wrong []string) {
	waits := make(map[string]bool) // "package group"
	each := func(name string, found func(s *source, group string, n ast.Node)) {
		for _, s := range all {
			if s.test() {
				continue
			}
			ast.Inspect(s.tree, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if ok && sel.Sel.Name == name {
					switch x := sel.X.(type) {
					case *ast.Ident:
						found(s, x.Name, n)
					case *ast.SelectorExpr:
						found(s, x.Sel.Name, n)
					}
				}
				return true
			})
		}
	}
	each("Wait", func(s *source, group string, _ ast.Node) { waits[s.pkg+" "+group] = true })
	each("Go", func(s *source, group string, n ast.Node) {
		if !waits[s.pkg+" "+group] {
			wrong = append(wrong, fmt.Sprintf("%s: nobody calls %s.Wait in %s", s.at(n), group, s.pkg))
		}
	})
	return wrong
}

// Most lines of a file and of a function, tests excepted.
const (
	maxFile     = 400
	maxFunction = 70
)

// lengthRule: a file is one noun or verb, a function fits on a screen. The doc
// comment of a function does not count, comments inside it do.
func lengthRule(s *source) (wrong []string) {
	if s.test() {
		return nil
	}
	if s.lines > maxFile {
		wrong = append(wrong, fmt.Sprintf("%s: %d lines, %d at most", s.name, s.lines, maxFile))
	}
	for _, d := range s.tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFunction {
				wrong = append(wrong, fmt.Sprintf("%s: %s has %d lines, %d at most", s.at(f.Name), f.Name.Name, n, maxFunction))
			}
		}
	}
	return wrong
}

// Words that name nothing (of files and packages, of which some are good
// English in an identifier), and words that the field does not use.
var (
	emptyWords   = []string{"manager", "managers", "util", "utils", "helper", "helpers", "impl", "common", "types", "misc"}
	foreignWords = []string{"manager", "managers", "util", "utils", "helper", "helpers", "impl",
		"chunk", "chunks", "subpiece", "subpieces", "segment", "segments"}
)

// nameRule: names are the field's own words.
func nameRule(s *source) (wrong []string) {
	for _, part := range strings.Split(s.name, "/") {
		for _, w := range words(part) {
			if slices.Contains(emptyWords, w) || slices.Contains(foreignWords, w) {
				wrong = append(wrong, s.name+": nothing is called "+w)
			}
		}
	}
	if s.test() {
		return wrong
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		for _, id := range declared(n) {
			for _, w := range words(id.Name) {
				if slices.Contains(foreignWords, w) {
					wrong = append(wrong, fmt.Sprintf("%s: %s: nothing is called %s", s.at(id), id.Name, w))
				}
			}
		}
		return true
	})
	return wrong
}

// declared are the names that a node gives.
func declared(n ast.Node) (ids []*ast.Ident) {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return []*ast.Ident{n.Name}
	case *ast.TypeSpec:
		return []*ast.Ident{n.Name}
	case *ast.ValueSpec:
		return n.Names
	case *ast.Field:
		return n.Names
	case *ast.AssignStmt:
		for _, x := range n.Lhs {
			if id, ok := x.(*ast.Ident); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}
