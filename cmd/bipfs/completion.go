package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand is `bipfs completion`.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run writes the completions, as a script of the shell.
func (c completionCommand) Run(ctx *kong.Context, s streams) error {
	w := bufio.NewWriter(s.out)
	fmt.Fprintf(w, "%s bipfs: made by bipfs completion %s\n",
		map[string]string{"bash": "# completions for", "zsh": "#compdef", "fish": "# completions for"}[c.Shell], c.Shell)
	map[string]func(io.Writer, *kong.Node){"bash": bash, "zsh": zsh, "fish": fish}[c.Shell](w, ctx.Model.Node)
	return w.Flush()
}

// alternatives are placeholders that name all there is: prefer|require|off.
var alternatives = regexp.MustCompile(`^[a-z]+(\|[a-z]+)+$`)

// values are what a flag or an argument may be, if that is a few words.
func values(v *kong.Value) []string {
	switch {
	case v.Enum != "":
		return v.EnumSlice()
	case v.Flag != nil && alternatives.MatchString(v.Flag.PlaceHolder):
		return strings.Split(v.Flag.PlaceHolder, "|")
	}
	return nil
}

// isFolder reports whether a flag takes a folder, and isPath whether it takes a path.
func isFolder(flag *kong.Flag) bool { return flag.PlaceHolder == "DIR" }

func isPath(flag *kong.Flag) bool {
	return isFolder(flag) || slices.ContainsFunc(strings.Split(flag.PlaceHolder, "|"), func(s string) bool {
		return s == "PATH" || strings.HasPrefix(s, "FILE")
	})
}

// spellings are how a flag may be written.
func spellings(flag *kong.Flag) []string {
	all := []string{"--" + flag.Name}
	if flag.Tag.Negatable != "" {
		all = append(all, "--no-"+flag.Name)
	}
	if flag.Short != 0 {
		all = append(all, "-"+string(flag.Short))
	}
	return all
}

// names are a command's name and its aliases.
func names(node *kong.Node) []string { return append([]string{node.Name}, node.Aliases...) }

// childNames are those of the commands of a group.
func childNames(node *kong.Node) (all []string) {
	for _, child := range node.Children {
		if !child.Hidden {
			all = append(all, names(child)...)
		}
	}
	return all
}

// calls are the ways to call a command: "config check"; "unmount", "umount".
func calls(node *kong.Node) (all []string) {
	if node.Type == kong.ApplicationNode {
		return []string{""}
	}
	for _, above := range calls(node.Parent) {
		for _, name := range names(node) {
			all = append(all, strings.TrimSpace(above+" "+name))
		}
	}
	return all
}

// quoted is a word of any of the shells: of what the definitions have only the quote
// has a meaning between quotes.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// pattern is the words of a case in bash and zsh.
func pattern(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = quoted(w)
	}
	return strings.Join(all, "|")
}

const bashHead = `_bipfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= words= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$command${command:+ }${COMP_WORDS[i]}" in
`

const bashMiddle = `		command="$command${command:+ }${COMP_WORDS[i]}" ;;
		esac
	done
	# bash makes a word of its own of the = in --flag=value.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case "$command $prev" in
`

// Where no word is wanted but flags, they are offered after a dash only: files come
// first.
const bashTail = `	esac
	if [[ $cur == -* || $words != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
}
complete -o default -F _bipfs bipfs
`

// bash: what the function does not know is the name of a file.
func bash(w io.Writer, app *kong.Node) {
	var all []string
	eachCommand(app, func(node *kong.Node) { all = append(all, calls(node)...) })
	fmt.Fprintf(w, "%s\t\t%s)\n%s", bashHead, pattern(all), bashMiddle)
	eachCommand(app, func(node *kong.Node) {
		for _, flag := range shownFlags(node) {
			if flag.IsBool() {
				continue
			}
			var here []string
			for _, call := range calls(node) {
				for _, spelling := range spellings(flag) {
					here = append(here, call+" "+spelling)
				}
			}
			reply := "COMPREPLY=()"
			if v := values(flag.Value); v != nil {
				reply = fmt.Sprintf(`mapfile -t COMPREPLY < <(compgen -W %s -- "$cur")`, quoted(strings.Join(v, " ")))
			} else if isFolder(flag) {
				reply = `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur")`
			}
			fmt.Fprintf(w, "\t%s) %s; return ;;\n", pattern(here), reply)
		}
	})
	fmt.Fprintf(w, "\tesac\n\tcase $command in\n\t'') words=%s ;;\n", quoted(strings.Join(childNames(app), " ")))
	eachCommand(app, func(node *kong.Node) {
		words := childNames(node)
		if words == nil {
			for _, arg := range node.Positional {
				words = append(words, values(arg)...)
			}
			for _, flag := range shownFlags(node) {
				words = append(words, spellings(flag)...)
			}
		}
		fmt.Fprintf(w, "\t%s) words=%s ;;\n", pattern(calls(node)), quoted(strings.Join(words, " ")))
	})
	io.WriteString(w, bashTail)
}

// zsh: a function for each group of commands.
func zsh(w io.Writer, app *kong.Node) {
	eachCommand(app, func(node *kong.Node) {
		if len(node.Children) > 0 {
			zshGroup(w, "_bipfs_"+strings.ReplaceAll(commandWords(node), " ", "_"), node)
		}
	})
	zshGroup(w, "_bipfs", app)
	io.WriteString(w, "_bipfs \"$@\"\n")
}

func zshGroup(w io.Writer, function string, group *kong.Node) {
	fmt.Fprintf(w, "%s() {\n\tlocal curcontext=\"$curcontext\" state line\n\ttypeset -A opt_args\n", function)
	io.WriteString(w, "\t_arguments -C '(- *)'{-h,--help}'[Show help.]' '1: :->command' '*:: :->rest'\n\tcase $state in\n\tcommand)\n\t\tlocal -a commands=(\n")
	for _, child := range group.Children {
		if child.Hidden {
			continue
		}
		for _, name := range names(child) {
			fmt.Fprintf(w, "\t\t\t%s\n", quoted(name+":"+child.Help))
		}
	}
	io.WriteString(w, "\t\t)\n\t\t_describe command commands ;;\n\trest)\n\t\tcase $words[1] in\n")
	for _, child := range group.Children {
		if child.Hidden {
			continue
		}
		fmt.Fprintf(w, "\t\t%s)", pattern(names(child)))
		if len(child.Children) > 0 {
			fmt.Fprintf(w, " %s_%s ;;\n", function, child.Name)
			continue
		}
		io.WriteString(w, " _arguments")
		for _, flag := range shownFlags(child) {
			for _, spelling := range spellings(flag) {
				fmt.Fprintf(w, " \\\n\t\t\t%s", zshFlag(flag, spelling))
			}
		}
		if len(child.Positional) > 0 {
			rest := "_files"
			if v := values(child.Positional[0]); v != nil {
				rest = "(" + strings.Join(v, " ") + ")"
			}
			fmt.Fprintf(w, " \\\n\t\t\t%s", quoted("*:"+child.Positional[0].Name+":"+rest))
		}
		io.WriteString(w, " ;;\n")
	}
	io.WriteString(w, "\t\tesac ;;\n\tesac\n}\n")
}

var zshEscapes = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`)

// zshFlag is a flag for _arguments; a * before it lets it come again.
func zshFlag(flag *kong.Flag, spelling string) string {
	spec := spelling
	if flag.IsCumulative() {
		spec = "*" + spec
	}
	if !flag.IsBool() && strings.HasPrefix(spelling, "--") {
		spec += "="
	}
	spec += "[" + zshEscapes.Replace(flag.Help) + "]"
	if !flag.IsBool() {
		action := ""
		switch v := values(flag.Value); {
		case v != nil:
			action = "(" + strings.Join(v, " ") + ")"
		case isFolder(flag):
			action = "_files -/"
		case isPath(flag):
			action = "_files"
		}
		spec += ":" + zshEscapes.Replace(flag.FormatPlaceHolder()) + ":" + action
	}
	return quoted(spec)
}

// fish: a line for each command, and for each flag of it.
func fish(w io.Writer, app *kong.Node) {
	fmt.Fprintf(w, "complete -c bipfs -n __fish_use_subcommand -f\n")
	eachCommand(app, func(node *kong.Node) {
		under := "__fish_use_subcommand"
		if above := node.Parent; above.Type != kong.ApplicationNode {
			under = fmt.Sprintf("__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from %s",
				strings.Join(names(above), " "), strings.Join(childNames(above), " "))
		}
		for _, name := range names(node) {
			fmt.Fprintf(w, "complete -c bipfs -n %s -f -a %s -d %s\n", quoted(under), name, quoted(node.Help))
		}
		if len(node.Children) > 0 {
			return
		}
		here := "__fish_seen_subcommand_from " + strings.Join(names(node), " ")
		if above := node.Parent; above.Type != kong.ApplicationNode {
			here = fmt.Sprintf("__fish_seen_subcommand_from %s; and %s", strings.Join(names(above), " "), here)
		}
		for _, arg := range node.Positional {
			if v := values(arg); v != nil {
				fmt.Fprintf(w, "complete -c bipfs -n %s -f -a %s\n", quoted(here), quoted(strings.Join(v, " ")))
			}
		}
		for _, flag := range shownFlags(node) {
			fishFlag(w, quoted(here), flag)
		}
	})
}

func fishFlag(w io.Writer, here string, flag *kong.Flag) {
	fmt.Fprintf(w, "complete -c bipfs -n %s -l %s", here, flag.Name)
	if flag.Short != 0 {
		fmt.Fprintf(w, " -s %c", flag.Short)
	}
	switch v := values(flag.Value); {
	case flag.IsBool():
	case v != nil:
		fmt.Fprintf(w, " -x -a %s", quoted(strings.Join(v, " ")))
	case isFolder(flag):
		io.WriteString(w, " -x -a '(__fish_complete_directories)'")
	case isPath(flag):
		io.WriteString(w, " -r -F")
	default:
		io.WriteString(w, " -x")
	}
	fmt.Fprintf(w, " -d %s\n", quoted(flag.Help))
	if flag.Tag.Negatable != "" {
		fmt.Fprintf(w, "complete -c bipfs -n %s -l no-%s -d %s\n", here, flag.Name, quoted("Not: "+flag.Help))
	}
}

// newModel is for those who want only to look at the definitions.
func newModel() *kong.Node {
	return newParser(&commands{}, streams{out: io.Discard, err: io.Discard}, &configuration{}).Model.Node
}
