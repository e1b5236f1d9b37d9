package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// testedCommands names the test that would fail if a command did not do what it says.
var testedCommands = map[string]string{
	"mount": "TestTemporary", "unmount": "TestDeadMount", "upgrade": "TestKeeperUpgrade", "open": "TestOpen",
	"config check": "TestConfigCommands", "config show": "TestConfigCommands", "doctor": "TestDoctor", "demo": "TestDemoStays",
	"serve": "TestServe", "add": "TestControl", "ls": "TestControl", "status": "TestControl", "why": "TestControlOpenFile",
	"peers": "TestControl", "top": "TestControl", "rm": "TestControl", "stop": "TestControl", "start": "TestControl",
	"pause": "TestControl", "resume": "TestControl", "pin": "TestPin", "unpin": "TestPin", "limit": "TestLimit",
	"verify": "TestBox", "events": "TestControl", "fetch": "TestFetch", "create": "TestCreate", "man": "TestManual",
	"completion": "TestCompletion", "version": "TestLicences",
}

// testedFlags does so for the flags, by the struct that they stand in: what one code
// reads is looked at once, however many commands have it. The test's file has to spell
// the flag; that the test looks at what it does is for who reads it.
var testedFlags = map[string]map[string]string{
	"mountCommand": {"detach": "TestKeeperKill", "option": "TestMountFlags", "watch": "TestWatchFolder", "watch-keep": "TestDroppedKeep",
		"on-demand": "TestOnDemandWho", "on": "TestMountFlags", "local-only": "TestLocalOnly"},
	"daemonFlags": {"data": "TestDetachedPage", "temporary": "TestTemporary", "disk": "TestBound", "seed-ratio": "TestControl",
		"seed-time": "TestFlagsReachTheEngine", "private-seed-ratio": "TestFlagsReachTheEngine", "private-seed-time": "TestFlagsReachTheEngine",
		"max-seeding": "TestFlagsReachTheEngine", "control": "TestConfig", "control-group": "TestMountFlags"},
	"httpFlags": {"http": "TestServe", "http-allow-remote": "TestMountFlags", "http-host": "TestMountFlags"},
	"engineFlags": {"memory": "TestBound", "keep-free": "TestKeepFree", "listen": "TestDHT", "peer": "TestControl",
		"read-timeout": "TestBlocklistFlag", "no-upload": "TestPrivateNoUpload", "down": "TestLimit", "up": "TestLimit",
		"background": "TestConfig", "max-peers": "TestLimit", "max-peers-per-torrent": "TestLimit", "encryption": "TestEncryptedSeeders",
		"bind": "TestBind", "proxy": "TestProxyOnly", "blocklist": "TestBlocklistFlag", "no-utp": "TestLeafRead",
		"no-pex": "TestFlagsReachTheEngine", "no-port-map": "TestPortMap", "lsd": "TestLSD", "no-dht": "TestFlagsReachTheEngine", "dht-node": "TestDHT"},
	"logFlags":      {"log-level": "TestEncryptedLeeches", "log-format": "TestMountFlags"},
	"talkFlags":     {"mount": "TestSeveralMounts", "control": "TestSeveralMounts", "json": "TestJSON"},
	"addCommand":    {"wait": "TestControl", "folder": "TestFolders"},
	"rmCommand":     {"delete-data": "TestControl"},
	"eventsCommand": {"follow": "TestControlInterrupted", "since": "TestSeveralMounts"},
	"topCommand":    {"once": "TestControl"},
	"limitCommand":  {"down": "TestLimit", "up": "TestLimit", "background": "TestConfig"},
	"fetchCommand":  {"output": "TestFetch"},
	"createCommand": {"hybrid": "TestCreate", "v2": "TestCreate", "piece-length": "TestCreate", "tracker": "TestCreate",
		"web-seed": "TestCreate", "output": "TestCreate"},
	"unmountCommand": {"lazy": "TestSeveralMounts"},
	"doctorCommand":  {"data": "TestReport", "control": "TestReport", "json": "TestDoctor"},
	"demoCommand":    {"once": "TestDemo"},
	"versionCommand": {"licences": "TestLicences", "spdx": "TestLicences"},
}

// testedFiles are the files and names that others rely on, as they are spelled in the
// file of the test that fails if they are not there, or not read.
var testedFiles = map[string]string{
	"mount.bipfs": "TestFstab", "mount.fuse.bipfs": "TestInstall", "bipfs.desktop": "TestInstall", "bipfs@.service": "TestUnits",
	"share/systemd/user/bipfs.service": "TestUnits", "srv-torrents.mount": "TestUnits", "srv-torrents.automount": "TestUnits",
	"man/man1/bipfs.1": "TestInstall", "vendor_completions.d/bipfs.fish": "TestInstall", "zsh/site-functions/_bipfs": "TestInstall",
	"bash-completion/completions/bipfs": "TestInstall", "examples/config.toml": "TestInstall",
	"config.toml": "TestConfig", "/etc/bipfs/config.toml": "TestPlaces", "XDG_RUNTIME_DIR": "TestPlaces", "/run/bipfs": "TestPages", "XDG_CONFIG_HOME": "TestConfig", "BIPFS_UP": "TestConfig", "SIGHUP": "TestConfig",
	"http-token": "TestDetachedPage", ".sock": "TestControl", "NOTIFY_SOCKET": "TestSystemd", "WATCHDOG_USEC": "TestSystemd",
	"JOURNAL_STREAM": "TestJournal", "BIPFS_EVENT": "TestHook", "BIPFS_INFOHASH": "TestHook", "BIPFS_NAME": "TestHook", "BIPFS_PATH": "TestHook",
	"/add/links": "TestBox", "torrents/": "TestBox", "socket": "TestBox",
}

// declarations are the structs that flags stand in, by the address of the field.
func declarations(v reflect.Value, into map[uintptr]string) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			declarations(f, into)
		} else {
			into[f.Addr().Pointer()] = v.Type().Name()
		}
	}
}

// eachFlag calls do for each flag of each command, with the name of the struct that it
// stands in.
func eachFlag(do func(command *kong.Node, of string, flag *kong.Flag)) {
	c := &commands{}
	app := newParser(c, streams{}, &configuration{}).Model.Node
	of := map[uintptr]string{}
	declarations(reflect.ValueOf(c).Elem(), of)
	eachCommand(app, func(node *kong.Node) {
		for _, flag := range node.Flags {
			if flag.Name != "help" {
				do(node, of[flag.Target.Addr().Pointer()], flag)
			}
		}
	})
}

// testFiles are the texts of the files with tests of the program, by the tests.
func testFiles(t *testing.T) map[string]string {
	t.Helper()
	of := map[string]string{}
	for _, dir := range []string{".", "../../integration"} {
		names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(names) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && filepath.Base(name) != "tested_test.go" {
					of[f.Name.Name] += string(text)
				}
			}
		}
	}
	return of
}

// TestEveryCommandIsTested: each command, each flag and each file has a test, which
// there is, and whose file names it. Nothing else is in the tables.
func TestEveryCommandIsTested(t *testing.T) {
	tests := testFiles(t)
	spelled := func(what, test, pattern string) {
		t.Helper()
		switch text, ok := tests[test]; {
		case test == "":
			t.Errorf("%s has no test", what)
		case !ok:
			t.Errorf("%s is to be tested by %s, which does not exist", what, test)
		case !regexp.MustCompile(pattern).MatchString(text):
			t.Errorf("%s: the file of %s does not spell it", what, test)
		}
	}
	left := map[string]bool{}
	for name := range testedCommands {
		left[name] = true
	}
	eachCommand(newModel(), func(node *kong.Node) {
		if len(node.Children) > 0 {
			return
		}
		words := commandWords(node)
		delete(left, words)
		var quoted []string
		for word := range strings.FieldsSeq(words) {
			quoted = append(quoted, `\b`+word+`\b`)
		}
		spelled("bipfs "+words, testedCommands[words], strings.Join(quoted, `\W{1,6}`))
	})
	for of, flags := range testedFlags {
		for name := range flags {
			left[of+" --"+name] = true
		}
	}
	eachFlag(func(node *kong.Node, of string, flag *kong.Flag) {
		delete(left, of+" --"+flag.Name)
		pattern := `--` + flag.Name + `([^a-z-]|$)`
		if flag.Short != 0 {
			pattern += `|"-` + string(flag.Short) + `"`
		}
		spelled("bipfs "+commandWords(node)+" --"+flag.Name+" ("+of+")", testedFlags[of][flag.Name], pattern)
	})
	for name, test := range testedFiles {
		spelled(name, test, regexp.QuoteMeta(name))
	}
	for name := range left {
		t.Errorf("there is no %s", name)
	}
}
