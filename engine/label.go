package engine

import (
	"context"
	"errors"
	"runtime/pprof"

	"bipfs/wire"
)

// Label is the label of the goroutines that work for one torrent, of what is
// started by its loop too. Its value is Torrent.Hash: a crash says so whose it is.
const Label = "torrent"

// ErrAside is that a torrent is in Config.Aside.
var ErrAside = errors.New("it crashed the program, again and again, and is set aside until another program serves the mount")

// labelled runs do in the name of a torrent.
func labelled(hash wire.Digest, do func()) {
	pprof.Do(context.Background(), pprof.Labels(Label, hash.String()), func(context.Context) { do() })
}
