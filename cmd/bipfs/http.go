package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"bipfs/cmd/bipfs/web"
	"bipfs/engine"
)

// httpFlags are the flags of the window for browsers and players (package web).
type httpFlags struct {
	HTTP            string   `name:"http" help:"Show the torrents to browsers, players and file managers at this address; who knows the printed token sees all, and changes nothing (default: off)." placeholder:"ADDR"`
	HTTPAllowRemote bool     `name:"http-allow-remote" help:"Let --http have an address that others than this machine reach. It is not encrypted."`
	HTTPHost        []string `name:"http-host" help:"A name that browsers may call --http by, beside its address; repeatable." placeholder:"NAME" sep:"none"`
}

// check is what is wrong with them.
func (f httpFlags) check() error {
	if f.HTTP == "" {
		if f.HTTPAllowRemote || len(f.HTTPHost) > 0 {
			return usagef("--http-allow-remote and --http-host are about --http ADDR")
		}
		return nil
	}
	if err := engine.CheckHTTP(f.HTTP, f.HTTPAllowRemote); err != nil {
		if errors.Is(err, engine.ErrRemote) {
			return usagef("--http %s: %w: add --http-allow-remote if they may", f.HTTP, engine.ErrRemote)
		}
		return usagef("--http %s: %w", f.HTTP, err)
	}
	return nil
}

// window is an open --http; nil: there is none.
type window struct {
	listener net.Listener
	token    string
	hosts    []string
	log      *slog.Logger
}

// portTime is how long the port may be that of a process before us, which ends.
const portTime = 3 * time.Second

// open listens, and has a token, which is kept in the data folder.
func (f httpFlags) open(cfg engine.Config) (*window, error) {
	if f.HTTP == "" {
		return nil, nil
	}
	token, err := web.Token(cfg.Dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(portTime); ; time.Sleep(50 * time.Millisecond) {
		l, err := engine.ListenHTTP(context.Background(), f.HTTP, f.HTTPAllowRemote)
		if err == nil {
			return &window{l, token, f.HTTPHost, cfg.Log}, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return nil, fmt.Errorf("--http: %w", err)
		}
	}
}

// close ends a window that is not served.
func (w *window) close() {
	if w != nil {
		w.listener.Close()
	}
}

// url is the address, with the token; "" if there is no window.
func (w *window) url() string {
	if w == nil {
		return ""
	}
	at := w.listener.Addr().String()
	if a, ok := w.listener.Addr().(*net.TCPAddr); ok && a.IP.IsUnspecified() {
		at = fmt.Sprintf("localhost:%d", a.Port)
	}
	u := url.URL{Scheme: "http", Host: at, Path: "/", RawQuery: "token=" + w.token}
	return u.String()
}

// sayPage prints the address of a window, if there is one, to the user. A journal keeps
// what it is told, and shows it to others: there the address comes without its token.
func sayPage(out io.Writer, address string) {
	switch {
	case address == "":
	case isJournal(out), isJournal(os.Stderr): // which may be two streams, and one is named
		open, _, _ := strings.Cut(address, "?")
		fmt.Fprintln(out, "page", open, "(bipfs status has it with its token)")
	default:
		fmt.Fprintln(out, "page", address)
	}
}

// serve serves until ctx ends. What a page shows has no token: scripts cannot read the
// cookie either.
func (w *window) serve(ctx context.Context, d *daemon) {
	if w == nil {
		return
	}
	site := *d
	site.page = ""
	if err := web.Serve(ctx, w.listener, &site, web.Config{Token: w.token, Hosts: w.hosts, Log: w.log}); err != nil {
		w.log.Error("--http is closed", "err", err)
	}
}
