package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// made is what a command prints that makes something of the definitions.
func made(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := bipfs(t, "", args...)
	if code != 0 || err != "" {
		t.Fatalf("%q: %d %s", args, code, err)
	}
	return out
}

// TestManual: each command, argument and flag has its place in the manual page, with
// what --help says of it.
func TestManual(t *testing.T) {
	page := made(t, "man")
	eachCommand(newModel(), func(node *kong.Node) {
		if len(node.Children) > 0 {
			return
		}
		_, after, found := strings.Cut(page, ".SS \""+roff(node.Summary())+"\"\n")
		if !found {
			t.Errorf("%s is not in the manual page", commandWords(node))
			return
		}
		after, _, _ = strings.Cut(after, ".SS ")
		if node.Help == "" || !strings.HasPrefix(after, roffLine(node.Help)) {
			t.Errorf("%s is not explained", commandWords(node))
		}
		for _, flag := range shownFlags(node) {
			if flag.Help == "" || !strings.Contains(after, manualFlag(flag)+"\n"+roffLine(flag.Help)) {
				t.Errorf("%s --%s is not in the manual page", commandWords(node), flag.Name)
			}
		}
		for _, arg := range node.Positional {
			if arg.Help == "" || !strings.Contains(after, roffLine(arg.Help)) {
				t.Errorf("%s %s is not in the manual page", commandWords(node), arg.Name)
			}
		}
	})
	for number, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, ".") && !regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|B|I|BR|BI|IR|nf|fi)\b`).MatchString(line) {
			t.Errorf("line %d begins with a request that is none of ours: %s", number+1, line)
		}
	}
}

// TestManualIsRead: man(1) has nothing to say against it.
func TestManualIsRead(t *testing.T) {
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip(err)
	}
	path := write(t, "bipfs.1", made(t, "man"))
	cmd := exec.Command(man, "--warnings=w", "-l", "-Tutf8", path)
	cmd.Env = append(os.Environ(), "MANROFFSEQ=", "MANWIDTH=80", "LC_ALL=C.UTF-8", "MAN_KEEP_FORMATTING=")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && strings.Contains(errs.String(), "groff") {
		t.Skip(errs.String()) // it is installed in part
	}
	plain := regexp.MustCompile(`.\x08`).ReplaceAllString(string(out), "") // bold is letters over letters
	if err != nil || errs.Len() > 0 || !strings.Contains(plain, "CONFIGURATION") {
		t.Errorf("%v: %s", err, errs.String())
	}
}

// TestOneFlagOneMeaning: flags of one name are of one type, so that a setting fits all
// of them.
func TestOneFlagOneMeaning(t *testing.T) {
	app := newModel()
	known := settable(app)
	eachCommand(app, func(node *kong.Node) {
		for _, flag := range node.Flags {
			of := known[flag.Name]
			if of == nil || node.Name == "limit" {
				continue // that one changes what it names, so that a setting must not
			}
			if of.Target.Type() != flag.Target.Type() || !reflect.DeepEqual(of.Tag.Sep, flag.Tag.Sep) {
				t.Errorf("%s --%s is a %v, that of mount is a %v", commandWords(node), flag.Name, flag.Target.Type(), of.Target.Type())
			}
		}
	})
	for _, name := range []string{"event", "infohash", "name", "path", "device", "keeper", "worker"} {
		if known[name] != nil {
			t.Errorf("BIPFS_%s means something else", strings.ToUpper(name))
		}
	}
}

// TestCompletion: each shell reads what is made for it, and every command and flag is
// there.
func TestCompletion(t *testing.T) {
	for shell, check := range map[string][]string{
		"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"},
	} {
		script := made(t, "completion", shell)
		path := write(t, "completion", script)
		if program, err := exec.LookPath(check[0]); err == nil {
			if out, err := exec.Command(program, check[1], path).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s: %v %s", shell, err, out)
			}
		} else {
			t.Log(err)
		}
		eachCommand(newModel(), func(node *kong.Node) {
			for _, name := range names(node) {
				if !strings.Contains(script, name) || !strings.Contains(script, node.Help[:min(len(node.Help), 10)]) && shell != "bash" {
					t.Errorf("%s: no command %s", shell, name)
				}
			}
			if len(node.Children) > 0 {
				return
			}
			for _, flag := range shownFlags(node) {
				want := "--" + flag.Name
				if shell == "fish" {
					want = "_from " + strings.Join(names(node), " ") + "' -l " + flag.Name
				}
				if !strings.Contains(script, want) {
					t.Errorf("%s: no flag %s %s", shell, commandWords(node), want)
				}
			}
		})
	}
	if code, _, err := bipfs(t, "", "completion", "tcsh"); code != exitUsage || !strings.Contains(err, "bash") {
		t.Errorf("%d %s", code, err)
	}
}

// TestBashCompletes asks bash what it would offer.
func TestBashCompletes(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	script := write(t, "bipfs.bash", made(t, "completion", "bash"))
	dir := t.TempDir()
	for _, name := range []string{"a folder", "another"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	offers := func(line string) []string {
		t.Helper()
		cmd := exec.Command(shell, "--norc", "-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _bipfs; printf '%s\n' "${COMPREPLY[@]}"`,
			"bash", script)
		cmd.Args = append(cmd.Args, strings.Split(line, "|")...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v %s", line, err, out)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	}
	for line, want := range map[string]string{
		"bipfs|um":                          "umount",
		"bipfs|config|":                     "check show",
		"bipfs|completion|":                 "bash zsh fish --help -h",
		"bipfs|mount|--no-up":               "--no-upload",
		"bipfs|mount|--encryption|re":       "require",
		"bipfs|mount|--encryption|=|":       "prefer require off",
		"bipfs|mount|--encryption|=":        "prefer require off",
		"bipfs|mount|--no-upload|--log-for": "--log-format",
		"bipfs|mount|--log-format|":         "text json",
		"bipfs|mount|--data|":               "a folder another",
		"bipfs|mount|--no-ls":               "--no-lsd",
		"bipfs|umount|--l":                  "--lazy",
		"bipfs|mount|/mnt|":                 "", // a file
		"bipfs|rm|add|--del":                "--delete-data",
		"bipfs|mount|--memory|":             "",
		"bipfs|nonsense|":                   "*",
	} {
		words := offers(line)
		if strings.HasSuffix(line, "--data|") {
			slices.Sort(words)
		}
		got := strings.Join(words, " ")
		if want != "*" && got != want {
			t.Errorf("%s: %q, not %q", line, got, want)
		}
	}
}
