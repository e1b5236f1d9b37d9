package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "bipfs"

// source is one Go file of the house.
type source struct {
	name  string // from the root of the house, with slashes
	pkg   string // its directory, "." for the root
	lines int
	set   *token.FileSet
	tree  *ast.File
}

func (s *source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// at is the place of a node for a person: file and line.
func (s *source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

// commented reports whether a comment that begins with text ends on the line
// above n.
func (s *source) commented(n ast.Node, text string) bool {
	line := s.set.Position(n.Pos()).Line
	for _, c := range s.tree.Comments {
		if s.set.Position(c.End()).Line == line-1 && strings.HasPrefix(c.Text(), text) {
			return true
		}
	}
	return false
}

// imports are the import paths of the file by the name they have in it. A dot
// import is under its path.
func (s *source) imports() map[string]string {
	out := make(map[string]string)
	for _, i := range s.tree.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if len(name) > 1 && name[0] == 'v' && name[1] >= '0' && name[1] <= '9' { // math/rand/v2
			name = path.Base(path.Dir(p))
		}
		if i.Name != nil {
			name = i.Name.Name
		}
		if name == "." || name == "_" {
			name = p
		}
		out[name] = p
	}
	return out
}

// uses yields every use of a name of another package: the path of the package,
// the name, and where. Shadowed package names are not recognised: nobody here
// should have any.
func (s *source) uses(yield func(pkg, name string, n ast.Node)) {
	imports := s.imports()
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && imports[x.Name] != "" {
				yield(imports[x.Name], sel.Sel.Name, n)
			}
		}
		return true
	})
}

func parse(name, text string) (*source, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return &source{name, path.Dir(name), strings.Count(text, "\n"), set, tree}, err
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the tests")
		}
	}
}

// house is every Go file of the tree.
func house(t *testing.T) []*source {
	t.Helper()
	var all []*source
	top := root(t)
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != top && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, file)
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(name), string(text))
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files found: the test does not see the house", len(all))
	}
	return all
}

// words parts a name as it is written in Go or in a file's name: "maxReadAhead"
// is max, read, ahead; "HTTPClient" is http, client.
func words(name string) []string {
	var out []string
	begin := 0
	cut := func(i int) {
		if w := strings.Trim(name[begin:i], "_-."); w != "" {
			out = append(out, strings.ToLower(w))
		}
		begin = i
	}
	upper := func(i int) bool { return i < len(name) && name[i] >= 'A' && name[i] <= 'Z' }
	lower := func(i int) bool { return i < len(name) && name[i] >= 'a' && name[i] <= 'z' }
	for i := 1; i < len(name); i++ {
		switch {
		case strings.IndexByte("_-.", name[i]) >= 0, upper(i) && !upper(i-1), upper(i) && lower(i+1):
			cut(i)
		}
	}
	cut(len(name))
	return out
}

func TestWords(t *testing.T) {
	for name, want := range map[string]string{
		"maxReadAhead": "max read ahead", "HTTPClient": "http client", "x": "x", "fetchURL": "fetch url",
		"read_ahead_test.go": "read ahead test go", "aB": "a b", "_": "", "pieceSHA1": "piece sha1",
	} {
		if got := words(name); strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

// under reports whether a path is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// has is under for any of dirs.
func has(dirs []string, p string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return under(p, dir) })
}
