// Package webseed is one connection to one web seed (BEP 19): to the torrent's
// loop it is a peer that has everything, never chokes and asks for nothing.
//
//	Send (requests, cancels)
//	  |
//	  v
//	inbox: as many entries as there are slots
//	  |
//	  v           taken out: a reject
//	queue ----------------------------------> Torrent.Received
//	  |  blocks that follow each other
//	  v
//	 run -- GET of a range, file after file --> body -- straight into the spare
//	                                                            |
//	                Torrent.Stored <-- Disk.Swap (full for empty)
//
// It is one goroutine, with a second one that only watches the time. Between
// two blocks it takes in what was sent, and gives the slots back: a slot is
// taken when a message is put into the inbox, which is as long as there are
// slots, so it cannot be full. Send and Close return at once.
//
// Each request is answered once, as BEP 6 has it: by the block, or, if it was
// cancelled before its bytes were on their way, by a reject.
package webseed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"bipfs/wire"
)

// Limits of a connection. A web seed that goes past one is closed with an
// error.
const (
	BlockLimit   = 30 * time.Second // the longest time until the head of an answer, and for each block of its body
	RequestLimit = 2 * time.Minute  // the longest time for one answer as a whole
	IdleLimit    = 10 * time.Second // of not being asked for anything; then the place is for others

	MaxAsked      = 2048            // blocks that are asked for and not answered
	MaxRun        = 4 << 20         // bytes of one request
	MaxSkip       = 64 << 10        // bytes before, and behind, what is wanted of a whole file
	MaxRetryAfter = time.Hour       // that a web seed may ask for
	maxUnread     = 128 << 10       // bytes of cancelled blocks in a row that are read all the same
	rearm         = 1 * time.Second // how often the watch is wound up, at most
)

// Reasons for which a connection ends, beside those of the HTTP client, of the
// Torrent, and of answers.
var (
	ErrClosed   = errors.New("connection closed")
	ErrIdle     = errors.New("nothing was asked for")
	ErrSlow     = errors.New("the web seed took too long")
	ErrNoMemory = errors.New("no memory for a block")
	ErrAsked    = errors.New("more blocks asked for than a connection may have on their way")
	ErrPanic    = errors.New("bug in the goroutine of a web seed")
)

// Client does HTTP requests; *http.Client is one.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Disk is where blocks go. None of its methods waits.
type Disk interface {
	// Spare is an empty buffer; nil refuses, which ends the connection.
	Spare() *wire.Buf
	// Swap trades the buffer that holds block b for an empty one. Lease 0
	// means that the block was not wanted: empty is then full itself.
	Swap(p wire.Peer, b wire.Block, full *wire.Buf) (empty *wire.Buf, lease wire.Lease)
	// Return takes a spare back.
	Return(*wire.Buf)
}

// Torrent is the loop. Each method may wait for it, and returns an error when
// the torrent stops or ctx ends; the connection ends with that error.
type Torrent interface {
	// Received is a message as a peer would send it: have-all and unchoke at
	// the beginning, rejects later.
	Received(ctx context.Context, p wire.Peer, m wire.Message) error
	// Stored is a block that was asked for, came and was swapped in under
	// lease; 0: it was no longer wanted.
	Stored(ctx context.Context, p wire.Peer, b wire.Block, lease wire.Lease) error
	// Written gives the slots of n messages back.
	Written(ctx context.Context, p wire.Peer, n int) error
}

// Config is what a connection is made of.
type Config struct {
	Peer    wire.Peer
	URL     *url.URL // as the torrent names it
	Content *Content
	Client  Client
	Disk    Disk
	Torrent Torrent
	Slots   int // the most messages that are sent and not given back
}

// Conn is one connection. It has a socket only while the HTTP client keeps one.
type Conn struct {
	Config

	life context.Context // ends when the connection does; its cause is the first reason
	end  context.CancelCauseFunc

	bell chan struct{} // something is in the inbox
	mu   sync.Mutex
	// inbox and used are guarded by mu: messages that were sent, and how many
	// slots are taken.
	inbox []wire.Message
	used  int

	// Of Run's goroutine alone:
	taken []wire.Message // from the inbox; its memory is used again
	queue []wire.Block   // asked for, in order
	asked map[wire.Block]struct{}
	run   []entry   // of the request under way, from the next block on
	spare *wire.Buf // held while anything is asked for
	watch watch

	downloaded, wasted atomic.Int64
}

// entry is a block of the request under way.
type entry struct {
	wire.Block
	cancelled bool
}

// New makes a connection. Run must follow, also after a Close. Nothing is sent
// before a block is asked for.
func New(c Config) *Conn {
	w := &Conn{Config: c, bell: make(chan struct{}, 1), asked: map[wire.Block]struct{}{}}
	w.life, w.end = context.WithCancelCause(context.Background())
	return w
}

// Send puts a message into the inbox. It never waits. A full inbox is a bug of
// whoever counts the slots, and panics.
func (c *Conn) Send(m wire.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return
	}
	if c.used >= c.Slots {
		panic(fmt.Sprintf("webseed: all %d slots are taken", c.Slots))
	}
	c.used++
	c.inbox = append(c.inbox, m)
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// Close ends the connection. The first reason wins and is what Run returns;
// nil is ErrClosed. Any goroutine may call it at any time; it never waits.
func (c *Conn) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.end(reason)
}

// Counters is the bytes of all bodies so far, and of those the ones of blocks
// that were not wanted when they came. Any goroutine may ask.
func (c *Conn) Counters() (downloaded, wasted int64) {
	return c.downloaded.Load(), c.wasted.Load()
}

// Run is the connection's life; it returns the first reason to end that it
// finds, or that Close or ctx gave. All that the connection held is given back
// by then.
func (c *Conn) Run(ctx context.Context) error {
	cancelled := make(chan struct{})
	detach := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		c.Close(context.Cause(ctx))
	})
	c.watch.timer = time.NewTimer(BlockLimit)
	c.watch.stop()
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-c.watch.timer.C:
			c.Close(ErrSlow)
		case <-c.life.Done():
		}
	})
	c.Close(guard(c.serve))
	watching.Wait()
	c.watch.timer.Stop()
	if c.spare != nil {
		c.Disk.Return(c.spare)
	}
	if !detach() {
		<-cancelled
	}
	return context.Cause(c.life)
}

// serve greets the torrent and answers what it asks for, run after run.
func (c *Conn) serve() error {
	for _, kind := range []wire.Kind{wire.HaveAll, wire.Unchoke} {
		if err := c.Torrent.Received(c.life, c.Peer, wire.Message{Kind: kind}); err != nil {
			return err
		}
	}
	idle := time.NewTimer(IdleLimit)
	defer idle.Stop()
	for {
		if err := c.hear(); err != nil {
			return err
		}
		if len(c.queue) > 0 {
			if err := c.fetch(); err != nil {
				return err
			}
			idle.Reset(IdleLimit)
			continue
		}
		select {
		case <-c.bell:
		case <-idle.C:
			return ErrIdle
		case <-c.life.Done():
			return context.Cause(c.life)
		}
	}
}

// hear takes in all that was sent, and gives the slots back.
func (c *Conn) hear() error {
	if c.life.Err() != nil {
		return context.Cause(c.life)
	}
	c.mu.Lock()
	c.taken, c.inbox = c.inbox, c.taken[:0]
	c.used -= len(c.taken)
	c.mu.Unlock()
	if len(c.taken) == 0 {
		return nil
	}
	if err := c.Torrent.Written(c.life, c.Peer, len(c.taken)); err != nil {
		return err
	}
	for _, m := range c.taken {
		var err error
		switch m.Kind { // what else a peer would be told means nothing to a web seed
		case wire.Request:
			err = c.ask(m.Block())
		case wire.Cancel:
			err = c.cancel(m.Block())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// guard turns a panic of the goroutine into its error: it must not take the
// mount and the peers with it.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, r, debug.Stack())
		}
	}()
	return f()
}

// watch ends the connection when it is not wound up in time.
type watch struct {
	timer *time.Timer
	armed time.Time // when it was wound up
	due   time.Time // when the request under way must have ended
}

// begin winds it up for a request.
func (w *watch) begin() {
	now := time.Now()
	w.armed, w.due = now, now.Add(RequestLimit)
	w.timer.Reset(BlockLimit)
}

// again winds it up for the next block. Resetting a timer is dear for each of
// 10,000 blocks a second.
func (w *watch) again() {
	if now := time.Now(); now.Sub(w.armed) >= rearm {
		w.armed = now
		w.timer.Reset(min(BlockLimit, w.due.Sub(now)))
	}
}

func (w *watch) stop() { w.timer.Stop() }
