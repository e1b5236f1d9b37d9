package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// The flags and arguments of the commands are defined once, as fields of the command
// structs; what kong reads from there is the table from which --help, the manual page
// (here) and the completions (completion.go) are made.

// manCommand is `bipfs man`.
type manCommand struct{}

// Run writes the manual page, for man(1).
func (manCommand) Run(ctx *kong.Context, s streams) error {
	w := bufio.NewWriter(s.out)
	manual(w, ctx.Model.Node)
	return w.Flush()
}

// eachCommand calls do for every command, its subcommands after it. Hidden ones are left out.
func eachCommand(node *kong.Node, do func(*kong.Node)) {
	for _, child := range node.Children {
		if !child.Hidden {
			do(child)
			eachCommand(child, do)
		}
	}
}

// shownFlags are the flags of a command, --help first.
func shownFlags(node *kong.Node) (flags []*kong.Flag) {
	for _, group := range node.AllFlags(true) {
		flags = append(flags, group...)
	}
	return flags
}

// commandWords is how a command is called: "config check".
func commandWords(node *kong.Node) string {
	if node.Parent == nil || node.Parent.Type == kong.ApplicationNode {
		return node.Name
	}
	return commandWords(node.Parent) + " " + node.Name
}

const manualHead = `.SH DESCRIPTION
bipfs mounts BitTorrent swarms as folders. A magnet link or a .torrent becomes a read\-only
directory, at once. What is read is fetched from the swarm first, checked against its hash,
kept on disk, and shared with other peers. What nobody reads is not fetched.
.PP
A SOURCE is a .torrent file, a magnet link, an http(s) URL of a .torrent, an infohash, or
\- for a list of them on standard input. A TORRENT is an infohash or its first digits (4 at
least), a magnet link, or a path in the mount. A SIZE has a unit: 512MiB, 1.5GB; a RATE is a
size a second, or off: 5MB/s; a DUR is a duration: 90s, 24h.
`

const manualTail = `.SH CONFIGURATION
What is not given on the command line of
.BR "bipfs mount" ,
and the flags of the same names of other commands, is looked for in the environment, as
.BI BIPFS_ FLAG
(BIPFS_NO_UPLOAD for \-\-no\-upload), then in
.IR $XDG_CONFIG_HOME/bipfs/config.toml ,
then in
.IR /etc/bipfs/config.toml .
Keys are the names of the flags; what can be given more than once is a list, in the environment
separated by blanks:
.PP
.nf
disk = "200GiB"
no\-upload = true
peer = ["192.0.2.1:6881", "192.0.2.2:6881"]
.fi
.PP
SIGHUP has a running mount read it again:
.B down
.B up
and
.B background
change at once, and the log says what else waits for the next start.
.SH EXIT STATUS
0: done. 1: failed. 2: the command line or the configuration is wrong. 130: ended by Ctrl\-C.
141: who read the output wanted no more of it.
Called as
.BR mount.bipfs :
0, 1 for a wrong invocation, 32 for a mount that failed, as
.BR mount (8)
has them.
.SH FILES
.TP
.I ~/.local/share/bipfs
Data and state; \-\-data names another place.
.TP
.I $XDG_RUNTIME_DIR/bipfs\fR,\fI /run/bipfs
Control sockets.
.SH SEE ALSO
.BR mount (8),
.BR fusermount3 (1),
.BR systemd.mount (5)
`

// manual writes the page in roff, for the macros of man(7).
func manual(w io.Writer, app *kong.Node) {
	fmt.Fprintf(w, ".TH BIPFS 1 \"\" \"bipfs %s\" \"User Commands\"\n", roff(version))
	fmt.Fprintf(w, ".SH NAME\nbipfs \\- mount BitTorrent swarms as folders\n")
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B bipfs\n.I COMMAND\n[\\fIargument\\fR ...] [\\fIflag\\fR ...]\n")
	io.WriteString(w, manualHead)
	io.WriteString(w, ".SH COMMANDS\n")
	eachCommand(app, func(node *kong.Node) {
		if len(node.Children) == 0 {
			manualCommand(w, node)
		}
	})
	io.WriteString(w, manualTail)
}

func manualCommand(w io.Writer, node *kong.Node) {
	fmt.Fprintf(w, ".SS \"%s\"\n%s\n", roff(node.Summary()), roffLine(node.Help))
	if len(node.Aliases) > 0 {
		fmt.Fprintf(w, "(Also called %s.)\n", roff(strings.Join(node.Aliases, ", ")))
	}
	for _, arg := range node.Positional {
		fmt.Fprintf(w, ".TP\n\\fI%s\\fR\n%s\n", roff(arg.Summary()), roffLine(arg.Help))
	}
	for _, flag := range shownFlags(node) {
		fmt.Fprintf(w, ".TP\n%s\n%s\n", manualFlag(flag), roffLine(flag.Help))
	}
}

// manualFlag is the heading of a flag: its names in bold, its value in italics.
func manualFlag(flag *kong.Flag) string {
	names := []string{}
	if flag.Short != 0 {
		names = append(names, `\fB\-`+string(flag.Short)+`\fR`)
	}
	name := `\fB\-\-` + roff(flag.Name) + `\fR`
	if flag.Tag.Negatable != "" {
		name = `\fB\-\-\fR[\fBno\-\fR]\fB` + roff(flag.Name) + `\fR`
	}
	if !flag.IsBool() {
		name += `=\fI` + roff(flag.FormatPlaceHolder()) + `\fR`
	}
	return strings.Join(append(names, name), ", ")
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, "…", `...`, `~`, `\(ti`, `^`, `\(ha`, "`", `\(ga`)

// roff is a text that is to be printed as it is.
func roff(s string) string { return roffEscapes.Replace(s) }

// roffLine is a text as a line, which does not begin with a request.
func roffLine(s string) string {
	s = roff(strings.Join(strings.Fields(s), " "))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
