// Command bipfs mounts BitTorrent swarms as folders.
//
// This package is the command line, the signals, the exit codes, and the small
// adapter between the tree that the kernel sees and the engine (tree.go).
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is the content of the file VERSION, set when the program is linked.
var version = "dev"

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// commands is the command line.
type commands struct {
	mountCommands
	Serve      serveCommand      `cmd:"" help:"Show torrents to browsers and players, without a mount."`
	Add        addCommand        `cmd:"" help:"Add torrents to a running mount."`
	Ls         lsCommand         `cmd:"" help:"List the torrents of a running mount."`
	Status     statusCommand     `cmd:"" help:"Tell of a running mount, a torrent, or a path in the mount."`
	Why        whyCommand        `cmd:"" help:"Tell what the reads of a path in the mount wait for."`
	Peers      peersCommand      `cmd:"" help:"List the peers of a torrent."`
	Top        topCommand        `cmd:"" help:"Show a running mount as it is, once a second: torrents, readers, peers, pieces."`
	Rm         rmCommand         `cmd:"" help:"Remove torrents from a running mount."`
	Stop       stopCommand       `cmd:"" help:"Keep torrents from their swarms: no peers, no announces."`
	Start      startCommand      `cmd:"" help:"Undo stop."`
	Pause      pauseCommand      `cmd:"" help:"Transfer nothing of torrents, and keep their peers."`
	Resume     resumeCommand     `cmd:"" help:"Undo pause."`
	Pin        pinCommand        `cmd:"" help:"Fetch files, folders or torrents of a running mount in the background, and keep them."`
	Unpin      unpinCommand      `cmd:"" help:"Undo pin: what is here stays until its room is needed."`
	Limit      limitCommand      `cmd:"" help:"Show or change how fast blocks come and go."`
	Verify     verifyCommand     `cmd:"" help:"Check all that is here of torrents."`
	Events     eventsCommand     `cmd:"" help:"Print what has happened, and happens."`
	Fetch      fetchCommand      `cmd:"" help:"Download a torrent to a folder, without a mount; or pin paths in a running mount, and wait."`
	Create     createCommand     `cmd:"" help:"Make a .torrent of a file or folder, and print its magnet link."`
	Man        manCommand        `cmd:"" help:"Print the manual page, for man(1)."`
	Completion completionCommand `cmd:"" help:"Print the completions of a shell."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is an error of what a person typed.
type usageError struct{ error }

// exitCode is the exit code of a process that has said why itself.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func main() {
	// Whoever reads what we print may leave; that must not take the mount with
	// it. A signal that is caught, unlike one that is ignored, is as usual again
	// in the programs that we start.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	s := streams{os.Stdin, os.Stdout, os.Stderr}
	if code, is := other(s); is {
		os.Exit(code)
	}
	os.Exit(run(os.Args[1:], s))
}

// helpShown ends the parse after --help.
type helpShown struct{}

// run is the program but for the process around it.
func run(args []string, s streams) (code int) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helpShown); !ok {
				panic(r)
			}
			code = 0
		}
	}()
	configured := &configuration{files: configFiles()}
	ctx, err := newParser(&commands{}, s, configured).Parse(args)
	if configured.err != nil {
		err = configured.err
	}
	if err != nil {
		err = usageError{hinted(err)}
	} else {
		err = ctx.Run()
	}
	if err == nil {
		return 0
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if unread(err) {
		return exitUnread
	}
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	if errors.As(err, &usageError{}) {
		complain(s.err, configured.explained(err))
		return exitUsage
	}
	complain(s.err, err)
	return exitFailed
}

// exitUnread is the exit code of a command of whose output nobody wants more: 128 and
// the number of SIGPIPE, as of other programs, and as they do it says nothing.
const exitUnread = 128 + int(syscall.SIGPIPE)

// unread reports whether err is that who read our output has left.
func unread(err error) bool {
	var at *fs.PathError
	return errors.Is(err, syscall.EPIPE) && errors.As(err, &at) && at.Path == os.Stdout.Name()
}

// hinted is an error of a command line, and where it says how one looks.
func hinted(err error) error {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) || wrong.Context == nil || !strings.HasPrefix(err.Error(), "expected ") && !strings.HasPrefix(err.Error(), "un") {
		return err
	}
	words := "bipfs"
	if command := wrong.Context.Selected(); command != nil {
		words += " " + commandWords(command)
	}
	return fmt.Errorf("%w: see %s --help", err, words)
}

// complain prints what ended a command.
func complain(w io.Writer, err error) {
	if isJournal(w) {
		fmt.Fprint(w, priorities["ERROR"])
	}
	fmt.Fprintln(w, "bipfs:", sentence(err))
}

// newParser reads command lines into c, with settings from the configuration.
func newParser(c *commands, s streams, configured *configuration) *kong.Kong {
	parser, err := kong.New(c,
		kong.Name("bipfs"),
		kong.Description("Mount BitTorrent swarms as folders."),
		kong.Writers(s.out, s.err),
		kong.Exit(func(int) { panic(helpShown{}) }),
		kong.Bind(s),
		kong.Resolvers(configured),
		verbatim(),
	)
	if err != nil {
		panic(err) // the definitions above are wrong
	}
	return parser
}

// sentence is an error as one line.
func sentence(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// logFlags are the flags of every command that logs.
type logFlags struct {
	LogLevel  string `enum:"debug,info,warn,error" default:"warn" help:"Least level that is logged: debug, info, warn or error." placeholder:"LEVEL"`
	LogFormat string `enum:"text,json" default:"text" help:"Format of the log: text or json." placeholder:"FORMAT"`
}

// logger logs to w as the flags say.
func (f logFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		panic(err) // the enum of the flag admits no other
	}
	options := &slog.HandlerOptions{Level: level}
	if isJournal(w) {
		w, options.ReplaceAttr = journal{w}, untimed
	}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
