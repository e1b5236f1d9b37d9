package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"bipfs/engine"
	"bipfs/engine/control"
)

// serveCommand is `bipfs serve`: all that a mount has but the mount.
type serveCommand struct {
	Source []string `arg:"" optional:"" help:".torrent file, magnet link, http(s) URL of a .torrent, infohash, or - for a list on stdin."`
	daemonFlags
	httpFlags
	engineFlags
	typed
}

// closeTime is how long the engine may take to end.
const closeTime = 1500 * time.Millisecond

// check reports what is wrong with the flags, as far as it can be seen without doing
// anything.
func (c *serveCommand) check() error {
	if c.HTTP == "" {
		return usagef("serve --http ADDR: an address is needed, as 127.0.0.1:8080")
	}
	return errors.Join(c.httpFlags.check(), c.daemonFlags.check(), c.engineFlags.check())
}

// again is the command as its command line and the configuration have it now.
func (c *serveCommand) again() (standing, error) {
	all := &commands{}
	return &all.Serve, parseAgain(all, func() error { return all.Serve.check() }, c.args, configFiles(), true)
}

// Run serves until a signal.
func (c *serveCommand) Run(s streams) error {
	log := c.logger(s.err)
	if err := c.check(); err != nil {
		return err
	}
	all, err := sources(c.Source, s, log)
	if err != nil {
		return err
	}
	dir, remove, err := c.dataFolder()
	if err != nil {
		return err
	}
	defer remove()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	cfg, err := c.config(dir, log)
	if err != nil {
		return err
	}
	c.bounds(&cfg)
	client, err := engine.Open(cfg)
	if err != nil {
		return err
	}
	err = add(client, all, log)
	if err == nil {
		err = c.serve(client, cfg, signals, hup, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	client.Close(ctx)
	return err
}

// serve is the life of what is served.
func (c *serveCommand) serve(client *engine.Client, cfg engine.Config, signals, hup <-chan os.Signal, s streams) error {
	window, err := c.httpFlags.open(cfg)
	if err != nil {
		return err
	}
	defer window.close()
	socket, err := c.openControl(placeless(cfg.Dir), cfg.Dir, cfg.Log)
	if err != nil {
		return err
	}
	if first := client.FirstStart(); first != "" {
		fmt.Fprintln(s.err, "bipfs:", first)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	d := &daemon{Client: client, started: time.Now(), page: window.url()}
	wg.Go(func() { reload(ctx, client, c, c.again, hup, cfg.Log) })
	if socket != nil {
		wg.Go(func() {
			if err := control.Serve(ctx, socket, d, cfg.Log); err != nil {
				cfg.Log.Error("the control socket is closed", "err", err)
			}
		})
	}
	wg.Go(func() { window.serve(ctx, d) })
	sayPage(s.out, window.url())
	sig := <-signals
	cfg.Log.Info("stopping", "signal", sig)
	return nil
}
