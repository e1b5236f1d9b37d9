package fs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestFindMount(t *testing.T) {
	const table = `22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/root rw
36 22 0:45 / /mnt rw,nosuid shared:2 master:3 - fuse.bipfs bipfs rw,user_id=0
37 22 0:46 / /a\040b\134c\011d rw - fuse.bipfs my\040source rw
38 36 0:47 / /mnt rw - tmpfs tmpfs rw
39 22 0:48 / /dash rw - fuse.x - - rw
garbage
40 22 0:49
- - -
`
	for dir, want := range map[string]string{
		"/":          "ext4 21",
		"/mnt":       "tmpfs 47",
		"/a b\\c\td": "fuse.bipfs 46",
		"/dash":      "fuse.x 48",
		"/none":      " ",
		"":           " ",
	} {
		m, found := findMount(table, dir)
		if got := m.kind + " " + m.connection(); got != want || found != (want != " ") {
			t.Errorf("%q: %s, not %s", dir, got, want)
		}
	}
}

func TestMounts(t *testing.T) {
	const table = `22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/root rw
36 22 0:45 / /mnt rw,nosuid shared:2 - fuse.bipfs bipfs rw,user_id=0,group_id=0
37 22 0:46 / /a\040b rw - fuse.bipfs my\040source rw,max_read=1,user_id=1000
38 36 0:47 / /other rw - fuse.sshfs x rw,user_id=1000
39 36 0:48 / /none rw - fuse.bipfs x rw,user_id=many
`
	if got, want := allMounts(table), []Mounted{{"/mnt", 0}, {"/a b", 1000}}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func FuzzFindMount(f *testing.F) {
	f.Add("36 22 0:45 / /mnt rw - fuse.bipfs bipfs rw", "/mnt")
	f.Add(`1 2 3 4 \04 - x`, `\04`)
	f.Fuzz(func(t *testing.T, table, dir string) {
		findMount(table, dir)
		allMounts(table)
		dir = "/" + dir
		// What the kernel writes for a directory is read back.
		var escaped strings.Builder
		for _, c := range []byte(dir) {
			if c <= ' ' || c == '\\' || c >= 0x7f {
				fmt.Fprintf(&escaped, `\%03o`, c)
			} else {
				escaped.WriteByte(c)
			}
		}
		line := "\n1 2 0:9 / " + escaped.String() + " rw - fuse.bipfs x rw\n"
		if m, ok := findMount(table+line, dir); !ok || m.device != "0:9" {
			t.Errorf("%q is not found as %s", dir, line)
		}
	})
}
