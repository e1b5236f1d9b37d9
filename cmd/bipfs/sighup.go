package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"bipfs/engine"
)

// reload reads the block list again at each SIGHUP, until ctx ends. One that
// cannot be used leaves the one before.
func reload(ctx context.Context, client *engine.Client, log *slog.Logger) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
		}
		switch err := client.LoadBlocklist(ctx); {
		case err == nil:
			log.Info("read again at SIGHUP")
		case ctx.Err() == nil:
			log.Error("the block list is not read again: the one before holds", "err", err)
		}
	}
}
