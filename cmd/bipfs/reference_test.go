package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write what is made of the command definitions anew")

// madeBelow begins the part of a page of docs/ that is made of the definitions.
const madeBelow = "<!-- From here on this page is made of the command definitions: go test ./cmd/bipfs -run TestReference -update -->\n"

// shared are the structs whose flags several commands have, in the order of the page.
var shared = []struct{ of, title, says string }{
	{"talkFlags", "Flags of commands that talk to a running mount", "Of all commands that need one."},
	{"daemonFlags", "Flags of what goes on until it is stopped", "Of `mount` and `serve`: where its data is, how much of it, and who controls it."},
	{"httpFlags", "Flags of the page", "Of `mount` and `serve` ([HTTP.md](HTTP.md))."},
	{"engineFlags", "Flags of what downloads", "Of `mount`, `serve` and `fetch --output`."},
	{"logFlags", "Flags of the log", "Of `mount`, `serve`, `fetch` and `demo`."},
}

// item is a flag or an argument in a list.
func item(name, help string) string { return fmt.Sprintf("- `%s`: %s\n", name, sentenceOf(help)) }

// sentenceOf is a help text as Markdown has it.
func sentenceOf(help string) string {
	return strings.NewReplacer("$$", "$", "*", `\*`, "_", `\_`).Replace(strings.Join(strings.Fields(help), " "))
}

func flagName(flag *kong.Flag) string {
	all := spellings(flag)
	slices.Reverse(all) // -d, --detach
	if flag.Tag.Negatable != "" {
		all = []string{all[1], all[0]}
	}
	name := strings.Join(all, ", ")
	if !flag.IsBool() {
		name += " " + flag.FormatPlaceHolder()
	}
	return name
}

// anchor is how a heading of the page is linked to.
func anchor(title string) string {
	return "#" + strings.ReplaceAll(strings.ToLower(title), " ", "-")
}

// reference are the commands, and then the flags that several of them have.
func reference() string {
	own, groups, has := map[string]string{}, map[string]string{}, map[string][]string{}
	seen := map[string]bool{}
	eachFlag(func(node *kong.Node, of string, flag *kong.Flag) {
		words, line := commandWords(node), item(flagName(flag), flag.Help)
		if !slices.ContainsFunc(shared, func(s struct{ of, title, says string }) bool { return s.of == of }) {
			own[words] += line
			return
		}
		if !slices.Contains(has[words], of) {
			has[words] = append(has[words], of)
		}
		if !seen[of+flag.Name] {
			seen[of+flag.Name] = true
			groups[of] += line
		}
	})
	var page strings.Builder
	eachCommand(newModel(), func(node *kong.Node) {
		if len(node.Children) > 0 {
			return
		}
		words := commandWords(node)
		fmt.Fprintf(&page, "\n### bipfs %s\n\n`bipfs %s`\n\n%s", words, strings.TrimSuffix(node.Summary(), " [flags]"), sentenceOf(node.Help))
		if len(node.Aliases) > 0 {
			fmt.Fprintf(&page, " Also called `%s`.", strings.Join(node.Aliases, "`, `"))
		}
		page.WriteString("\n")
		list := ""
		for _, arg := range node.Positional {
			list += item("<"+arg.Name+">", arg.Help)
		}
		if list += own[words]; list != "" {
			page.WriteString("\n" + list)
		}
		var links []string
		for _, s := range shared {
			if slices.Contains(has[words], s.of) && s.of == "talkFlags" {
				links = append(links, fmt.Sprintf("[`--mount`, `--control` and `--json`](%s)", anchor(s.title)))
			} else if slices.Contains(has[words], s.of) {
				links = append(links, fmt.Sprintf("the [%s](%s)", strings.ToLower(s.title[:1])+s.title[1:], anchor(s.title)))
			}
		}
		if links != nil {
			fmt.Fprintf(&page, "\nAnd %s.\n", strings.Join(links, ", "))
		}
	})
	for _, s := range shared {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n%s", s.title, s.says, groups[s.of])
	}
	return page.String()
}

// byDefault is what a help text says of it.
var byDefault = regexp.MustCompile(`\(default: ([^()]*(?:\([^()]*\))?[^()]*)\)`)

// comma is one between the words of a list.
var comma = regexp.MustCompile(`, ?`)

// keys is a table of all settings.
func keys() string {
	var page strings.Builder
	page.WriteString("\n| key | takes | by default | SIGHUP |\n|---|---|---|---|\n")
	eachFlag(func(node *kong.Node, _ string, flag *kong.Flag) {
		if node.Name != "mount" {
			return
		}
		takes := form(flag)
		switch placeholder, _, _ := strings.Cut(flag.FormatPlaceHolder(), ",..."); {
		case flag.IsBool(), values(flag.Value) != nil, flag.Target.Type().Kind() == reflect.Int:
		case flag.IsSlice():
			takes = `a list, as ["` + placeholder + `"]`
		default:
			takes = placeholder
		}
		value := flag.Default
		if value == "" && flag.IsBool() {
			value = "false"
		}
		if found := byDefault.FindStringSubmatch(strings.ReplaceAll(flag.Help, "$$", "$")); found != nil && !strings.Contains(found[1], "${") {
			value = found[1]
		}
		if value == "" {
			value = "none"
		}
		again := "restart"
		if slices.Contains(live, flag.Name) {
			again = "at once"
		} else if flag.Name == "blocklist" {
			again = "the list itself is read again"
		}
		fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", flag.Name, strings.ReplaceAll(takes, "|", `\|`), comma.ReplaceAllString(value, ", "), again)
	})
	return page.String()
}

// TestReference: the parts of the pages that are made of the definitions are as those
// are now.
func TestReference(t *testing.T) {
	for name, made := range map[string]string{"COMMANDS.md": reference(), "CONFIGURATION.md": keys()} {
		path := filepath.Join("../../docs", name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, is, found := strings.Cut(string(text), madeBelow)
		if !found {
			t.Fatalf("%s has no line %q", name, madeBelow)
		}
		if is == made {
			continue
		}
		if !*update {
			t.Errorf("%s is not as the commands are: go test ./cmd/bipfs -run TestReference -update", name)
			continue
		}
		if err := os.WriteFile(path, []byte(head+madeBelow+made), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
