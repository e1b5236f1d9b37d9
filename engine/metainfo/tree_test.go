package metainfo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shownAs is the paths of all files, pads in brackets, links with an arrow.
func shownAs(i *Info) []string {
	var paths []string
	for _, f := range i.Files {
		path := strings.Join(f.Path, "/")
		if f.Link != "" {
			path += " -> " + f.Link
		}
		if f.Executable {
			path += "*"
		}
		if f.Pad {
			path = "[" + path + "]"
		}
		paths = append(paths, path)
	}
	return paths
}

func attr(path, attr string, length int64) written { return file(path, length, "attr", attr) }

func symlink(path, target string) written {
	var to []any
	for e := range strings.SplitSeq(target, "/") {
		to = append(to, e)
	}
	return file(path, 0, "attr", "l", "symlink path", list(to...))
}

func elements(e ...any) written { return dictionary("length", 0, "path", list(e...)) }

var long = strings.Repeat("x", 255)

var paths = []struct {
	what  string
	files []any
	want  []string
}{
	{"climb at the start", []any{elements("..", "a")}, []string{"%2E%2E/a"}},
	{"climb in the middle", []any{elements("a", "..", "..", "b")}, []string{"a/%2E%2E/%2E%2E/b"}},
	{"climb inside an element", []any{elements("a/../../b")}, []string{"a%2F..%2F..%2Fb"}},
	{"absolute", []any{elements("/etc", "passwd")}, []string{"%2Fetc/passwd"}},
	{"backslashes", []any{elements(`a\..\b`)}, []string{`a\..\b`}},
	{"empty elements", []any{elements("", "")}, []string{"_/_"}},
	{"reserved names", []any{elements(".bipfs"), elements("autorun.inf"), elements("desktop.ini")}, []string{".bipfs", "autorun.inf", "desktop.ini"}},
	{"a twin in UTF-8", []any{elements("\xb0\xa1"), dictionary("length", 0, "path", list("\xb0\xa1"), "path.utf-8", list("가"))}, []string{"%B0%A1", "가"}},
	{"a twin that is none", []any{dictionary("length", 0, "path", list("a"), "path.utf-8", list("\xb0"))}, []string{"a"}},

	{"a name twice", []any{elements("a"), elements("a")}, []string{"a", "a (2)"}},
	{"a name three times, with an extension", []any{elements("a.txt"), elements("a.txt"), elements("a.txt")}, []string{"a.txt", "a (2).txt", "a (3).txt"}},
	{"who is called so keeps its name", []any{elements("a"), elements("a"), elements("a (2)"), elements("a (3)")}, []string{"a", "a (4)", "a (2)", "a (3)"}},
	{"that name twice as well", []any{elements("a"), elements("a"), elements("a (2)"), elements("a (2)")}, []string{"a", "a (3)", "a (2)", "a (2) (2)"}},
	{"made equal by what is not shown", []any{elements("%00"), elements("\x00")}, []string{"%00", "%00 (2)"}},
	{"long and equal", []any{elements(long), elements(long)}, []string{long, long[:246] + " (2)"}},
	{"long, and equal when cut", []any{elements(long), elements(long), elements(long[:254]), elements(long[:254])},
		[]string{long, long[:246] + " (2)", long[:254], long[:246] + " (3)"}},
	{"the same name elsewhere", []any{elements("a"), elements("b", "a")}, []string{"a", "b/a"}},
	{"case", []any{elements("README"), elements("Readme"), elements("readme")}, []string{"README", "Readme", "readme"}},
	{"NFC and NFD", []any{elements("\u00e9"), elements("e\u0301")}, []string{"\u00e9", "e\u0301"}},
	{"a file before a directory of its name", []any{elements("a"), elements("a", "b")}, []string{"a (2)", "a/b"}},
	{"and behind it", []any{elements("a", "b"), elements("a")}, []string{"a/b", "a (2)"}},
	{"a file, a directory and the file's next name", []any{elements("a"), elements("a (2)", "b"), elements("a", "b")}, []string{"a (3)", "a (2)/b", "a/b"}},
	{"directories of one safe name are one", []any{elements("a\x00", "b"), elements("a%00", "b"), elements("a%00", "c")}, []string{"a%00/b", "a%00/b (2)", "a%00/c"}},

	{"executable", []any{attr("a", "x", 1), attr("b", "h", 1), attr("c", "hx", 1)}, []string{"a*", "b", "c*"}},
	{"pads", []any{file("a", 1), attr(".pad/3", "p", 3), file("b", 1), attr(".pad/3", "p", 3)}, []string{"a", "[.pad/3]", "b", "[.pad/3]"}},
	{"a pad takes nobody's name", []any{attr("a", "p", 3), file("a", 1)}, []string{"[a]", "a"}},
	{"a pad that is a link", []any{file("a", 0, "attr", "pl", "symlink path", list("b")), file("b", 1)}, []string{"[a]", "b"}},
	{"attributes that are none", []any{file("a", 1, "attr", 7), file("b", 1, "attr", list())}, []string{"a", "b"}},

	{"link beside it", []any{symlink("a", "b"), file("b", 1)}, []string{"a -> b", "b"}},
	{"link to another directory", []any{symlink("d/e/a", "d/f/b"), file("d/f/b", 1)}, []string{"d/e/a -> ../f/b", "d/f/b"}},
	{"link to a directory", []any{symlink("d/a", "e"), file("e/b", 1)}, []string{"d/a -> ../e", "e/b"}},
	{"link to the directory it is in", []any{symlink("d/a", "d"), file("d/b", 1)}, []string{"d/a -> ../d", "d/b"}},
	{"link to the torrent", []any{file("d/a", 0, "attr", "l", "symlink path", list())}, []string{"d/a"}},
	{"link from its own directory", []any{symlink("d/a", "b"), file("d/b", 1)}, []string{"d/a -> b", "d/b"}},
	{"link from its own directory, up", []any{symlink("d/a", "../b"), file("b", 1)}, []string{"d/a -> ../b", "b"}},
	{"link to nothing", []any{symlink("d/a", "b")}, []string{"d/a -> ../b"}},
	{"link out, relative", []any{symlink("a", "../b"), symlink("d/a", "../../b"), symlink("d/b", "x/../../../y")}, []string{"a", "d/a", "d/b"}},
	{"link up to nothing", []any{symlink("d/a", "../nothing")}, []string{"d/a"}},
	{"link to the parent of all", []any{symlink("d/a", "..")}, []string{"d/a"}},
	{"link out, absolute", []any{symlink("a", "/etc/passwd"), file("b", 0, "attr", "l", "symlink path", list("/etc"))}, []string{"a", "b"}},
	{"link to a dot", []any{symlink("a", "."), symlink("b", "./c")}, []string{"a", "b"}},
	{"link to an odd name", []any{symlink("a", "x\x01"), file("x\x01", 1)}, []string{"a -> x%01", "x%01"}},
	{"link with a NUL", []any{symlink("a", "x\x00")}, []string{"a"}},
	{"link to itself", []any{symlink("a", "a")}, []string{"a -> a"}},
	{"links in a ring", []any{symlink("a", "b"), symlink("b", "c"), symlink("c", "a")}, []string{"a -> b", "b -> c", "c -> a"}},
	{"link by way of a link", []any{symlink("d", "e"), symlink("x/a", "d/b"), file("e/b", 1)}, []string{"d -> e", "x/a -> ../d/b", "e/b"}},
	{"a file below a link", []any{symlink("d", "e"), file("d/x", 1), file("e/y", 1)}, []string{"d (2) -> e", "d/x", "e/y"}},
	{"link with bytes", []any{file("a", 3, "attr", "l", "symlink path", list("b")), file("b", 1)}, []string{"a -> b", "b"}},
	{"link without a length", []any{dictionary("attr", "l", "path", list("a"), "symlink path", list("b"))}, []string{"a -> b"}},
	{"link without a target", []any{attr("a", "l", 1), file("b", 0, "attr", "l", "symlink path", "b"), file("c", 0, "attr", "l", "symlink path", list(1))}, []string{"a", "b", "c"}},
	{"a target without a link", []any{file("a", 1, "symlink path", list("b"))}, []string{"a"}},
	{"link that is executable", []any{file("a", 0, "attr", "lx", "symlink path", list("b")), file("b", 0, "attr", "lx")}, []string{"a -> b", "b*"}},
	{"link as long as can be", []any{symlink("a", strings.Repeat(long+"/", 15)+long)}, []string{"a -> " + strings.Repeat(long+"/", 15) + long}},
	{"and of one element more", []any{symlink("a", strings.Repeat(long+"/", 15)+long[:253]+"/x")}, []string{"a -> " + strings.Repeat(long+"/", 15) + long[:253] + "/x"}},
	{"link one byte longer", []any{symlink("a", strings.Repeat(long+"/", 15)+long[:254]+"/x")}, []string{"a"}},
}

func TestPaths(t *testing.T) {
	for _, c := range paths {
		info := folder(c.files...)
		i, err := ParseInfo([]byte(info))
		if err != nil { // nothing but empty files: no pieces
			i, err = ParseInfo([]byte(strings.Replace(string(info), string(value(hashes(1))), "0:", 1)))
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if got := shownAs(i); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
		checkInfo(t, i)
	}
}

// The bytes of a link are bytes of the torrent.
func TestLinkWithBytes(t *testing.T) {
	i, err := ParseInfo([]byte(folder(file("a", 3, "attr", "l", "symlink path", list("b")), file("b", 5))))
	if err != nil || i.Length != 8 || i.Files[1].Offset != 3 {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestTree(t *testing.T) {
	i, err := ParseInfo([]byte(folder(
		file("z/y/1", 1), file("b", 1), file(".pad/5", 5, "attr", "p"), file("z/2", 1), file("a/3", 1), file("z/y/0", 1))))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for k, n := range i.Tree().Nodes {
		got = append(got, fmt.Sprintf("%d %s in %d, file %d %v", k, n.Name, n.Parent, n.File, n.Children))
	}
	want := []string{
		"0 r in 0, file -1 [9 2 7]",
		"1 1 in 8, file 0 []",
		"2 b in 0, file 1 []",
		"3  in 0, file 2 []",
		"4 2 in 7, file 3 []",
		"5 3 in 9, file 4 []",
		"6 0 in 8, file 5 []",
		"7 z in 0, file -1 [4 8]",
		"8 y in 7, file -1 [6 1]",
		"9 a in 0, file -1 [5]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	checkTree(t, i)
	if first, again := i.Tree(), i.Tree(); first != again {
		t.Error("the tree is made more than once")
	}
}

func TestTreeOfOneFile(t *testing.T) {
	i, err := ParseInfo([]byte(single(1)))
	if err != nil {
		t.Fatal(err)
	}
	tree := i.Tree()
	if k, ok := tree.Lookup(0, "n"); !ok || k != 1 || len(tree.Nodes) != 2 {
		t.Errorf("%+v", tree)
	}
	if _, ok := tree.Lookup(1, "n"); ok {
		t.Error("something is in a file")
	}
	if _, ok := tree.Lookup(2, "n"); ok {
		t.Error("something is in a directory that is not there")
	}
}

// checkTree checks the tree against the files.
func checkTree(t *testing.T, i *Info) {
	t.Helper()
	tree := i.Tree()
	if n := tree.Nodes[0]; n.Name != i.Name || n.File != -1 || n.Parent != 0 {
		t.Errorf("the root is %+v", n)
	}
	for k, f := range i.Files {
		if n := tree.Nodes[1+k]; int(n.File) != k || n.Children != nil {
			t.Fatalf("node %d is %+v", 1+k, n)
		}
		if f.Pad {
			continue
		}
		at, ok := uint32(0), true
		for _, e := range f.Path {
			if at, ok = tree.Lookup(at, e); !ok {
				t.Fatalf("%q is not found", f.Path)
			}
		}
		if int(at) != 1+k {
			t.Errorf("at %q is node %d, not %d", f.Path, at, 1+k)
		}
	}
	pads := 0
	for _, f := range i.Files {
		if f.Pad {
			pads++
		}
	}
	held := 0
	for k, n := range tree.Nodes {
		held += len(n.Children)
		for j, c := range n.Children {
			child := tree.Nodes[c]
			if int(child.Parent) != k || j > 0 && tree.Nodes[n.Children[j-1]].Name >= child.Name {
				t.Errorf("node %d is a wrong child of %d", c, k)
			}
		}
		if k > len(i.Files) && (n.File != -1 || len(n.Children) == 0) {
			t.Errorf("directory %d is %+v", k, n)
		}
	}
	if want := len(tree.Nodes) - 1 - pads; held != want {
		t.Errorf("%d entries in directories, want %d", held, want)
	}
}

func TestMostEntries(t *testing.T) {
	deep := func(files int) written { // 99 directories and one file each
		var b strings.Builder
		for k := range files {
			b.WriteString("d6:lengthi0e4:pathl")
			for e := range MaxDepth {
				fmt.Fprintf(&b, "7:%03d%04d", e, k)
			}
			b.WriteString("ee")
		}
		return "l" + written(b.String()) + "e"
	}
	for _, c := range []struct {
		files int
		ok    bool
	}{{MaxEntries / 100, true}, {MaxEntries/100 + 1, false}} {
		i, err := ParseInfo([]byte(dictionary("files", deep(c.files), "name", "r", "piece length", 16384, "pieces", "")))
		if c.ok && (err != nil || len(i.Tree().Nodes) != 1+MaxEntries) {
			t.Errorf("%d files: %v", c.files, err)
		}
		if !c.ok && (err == nil || !strings.Contains(err.Error(), "too many files and directories")) {
			t.Errorf("%d files: %v", c.files, err)
		}
	}
}

// A quadratic rule would take minutes.
func TestManyEqualNames(t *testing.T) {
	const n = 100_000
	var files strings.Builder
	for range n {
		files.WriteString("d6:lengthi0e4:pathl1:aee")
	}
	i, err := ParseInfo([]byte(dictionary("files", "l"+written(files.String())+"e", "name", "r", "piece length", 16384, "pieces", "")))
	if err != nil {
		t.Fatal(err)
	}
	if first, last := i.Files[0].Path[0], i.Files[n-1].Path[0]; first != "a" || last != "a (100000)" {
		t.Errorf("%s … %s", first, last)
	}
}

// The worst that names can do to the numbers: every number of the series is
// somebody's name, and so is every name that a cut could make.
func TestNamesAgainstNumbers(t *testing.T) {
	const n = 10_000
	var files []any
	long := strings.Repeat("x", 240)
	for k := range n {
		files = append(files, file(fmt.Sprintf("a (%d)", k+2), 0), file("a", 0))
		name := fmt.Sprintf("%s%015d", long, k)
		files = append(files, file(name, 0), file(name, 0))
	}
	i, err := ParseInfo([]byte(dictionary("files", list(files...), "name", "r", "piece length", 16384, "pieces", "")))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range i.Files {
		if seen[f.Path[0]] || len(f.Path[0]) > MaxName {
			t.Fatalf("%q", f.Path[0])
		}
		seen[f.Path[0]] = true
	}
}

// FuzzPaths writes folders instead of waiting for the mutations to balance
// their brackets: each line is attributes, a path and a link's target.
func FuzzPaths(f *testing.F) {
	f.Add("|a|\n|a|\n|a/b|\nx|a (2)|\np|a|\nl|b|a/b\nl|c/d|../b")
	f.Add("|README|\n|readme|\n|..|\n|\x00/\xff|\nl|c|c\nl|d|../../x")
	f.Fuzz(func(t *testing.T, text string) {
		var files []any
		for line := range strings.Lines(text) {
			part := append(strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 3), "", "")
			var target []any
			for e := range strings.SplitSeq(part[2], "/") {
				target = append(target, e)
			}
			files = append(files, file(part[1], 0, "attr", part[0], "symlink path", list(target...)))
		}
		i, err := ParseInfo([]byte(dictionary("files", list(files...), "name", "r", "piece length", 16384, "pieces", "")))
		if err != nil {
			if len(files) > 0 && !strings.Contains(err.Error(), "elements") {
				t.Error(err)
			}
			return
		}
		checkInfo(t, i)
	})
}

// checkFollow follows all links as a kernel would, and never leaves the torrent.
func checkFollow(t *testing.T, i *Info) {
	t.Helper()
	tree := i.Tree()
	for k, f := range i.Files {
		if f.Link == "" {
			continue
		}
		at := tree.Nodes[1+k].Parent
		todo := strings.Split(f.Link, "/")
		for links := 0; len(todo) > 0 && links < 40; {
			name := todo[0]
			todo = todo[1:]
			if name == ".." {
				if at == 0 {
					t.Fatalf("%q leaves the torrent by %q", f.Path, f.Link)
				}
				at = tree.Nodes[at].Parent
				continue
			}
			next, ok := tree.Lookup(at, name)
			if !ok {
				break
			}
			switch n := tree.Nodes[next]; {
			case n.File < 0:
				at = next
			case i.Files[n.File].Link != "":
				todo = append(strings.Split(i.Files[n.File].Link, "/"), todo...)
				links++
			}
		}
	}
}
