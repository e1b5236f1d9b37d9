package peer

import (
	"fmt"
	"sync"

	"bipfs/wire"
)

// outbox is what waits to be written: three lanes, filled by three owners who
// each count their slots, emptied by the writer.
//
//	nobody writes --something to write: start--> the writer sleeps at the bell
//	      ^                                                |
//	      +----------- lingerTime without a ring ----------+
//
// Of a thousand peers most are idle, and a goroutine is what an idle one has
// that is dear. So there is a writer only while there is something to write, and
// a little longer: a busy connection does not pay for one after another.
//
// The bell is a channel of one. A ring while the writer is busy stays in it,
// so a writer that found the lanes empty and goes to sleep cannot miss what
// came in between: there is no wake-up to lose. Whether there is a writer is
// known under the lock that the lanes are filled under.
type outbox struct {
	bell  chan struct{}
	slots Slots

	mu       sync.Mutex
	start    func() // starts the writer; nil before Run
	writing  bool   // there is a writer
	quiet    bool   // it is to send a keep-alive
	used     Slots  // in the lanes, or taken by the writer and not written
	messages []Outgoing
	extended []Outgoing
	loaded   []upload
	closed   bool
}

// upload is a block to send.
type upload struct {
	wire.Block
	wire.Loan
}

// batch is what the writer took to write at once.
type batch struct {
	messages, extended []Outgoing
	loaded             []upload
}

func (o *outbox) init(s Slots) {
	o.bell, o.slots = make(chan struct{}, 1), s
}

// ring has the writer look at the lanes. The lock is held.
func (o *outbox) ring() {
	if !o.writing && o.start != nil {
		o.writing = true
		o.start()
		return
	}
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// open has the lanes emptied from now on, by a writer that start starts.
func (o *outbox) open(start func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start = start
	if len(o.messages)+len(o.extended)+len(o.loaded) > 0 {
		o.ring()
	}
}

// hush has the writer send a keep-alive: nothing has been written for long.
func (o *outbox) hush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.quiet = true
		o.ring()
	}
}

// hushed is whether hush was called since it was asked last.
func (o *outbox) hushed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.quiet
	o.quiet = false
	return was
}

// part lets the writer go, unless there is something to write. The lanes of an
// idle connection hold no memory.
func (o *outbox) part() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.messages)+len(o.extended)+len(o.loaded) > 0 || o.quiet {
		return false
	}
	o.messages, o.extended, o.loaded = nil, nil, nil
	o.writing = false
	return true
}

// occupy takes one of n slots. A lane without a free one is our own bug.
func occupy(used *int, n int, lane string) {
	if *used >= n {
		panic(fmt.Sprintf("peer: lane of %s is full: all %d slots are taken", lane, n))
	}
	*used++
}

func (o *outbox) send(m Outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	occupy(&o.used.Messages, o.slots.Messages, "messages")
	o.messages = append(o.messages, m)
	o.ring()
}

func (o *outbox) extend(m Outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	occupy(&o.used.Extended, o.slots.Extended, "extended")
	o.extended = append(o.extended, m)
	o.ring()
}

func (o *outbox) deliver(u upload) {
	if !o.admit(u) {
		u.Of.Release() // outside the lock: it is somebody else's code
	}
}

func (o *outbox) admit(u upload) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	occupy(&o.used.Loaded, o.slots.Loaded, "loaded")
	o.loaded = append(o.loaded, u)
	o.ring()
	return true
}

// take moves into b, which is empty, all small messages and as many blocks as
// go into one write, and reports whether there was anything.
func (o *outbox) take(b *batch) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.messages, o.messages = o.messages, b.messages
	b.extended, o.extended = o.extended, b.extended
	n := min(len(o.loaded), maxVector)
	b.loaded = append(b.loaded, o.loaded[:n]...)
	rest := copy(o.loaded, o.loaded[n:])
	clear(o.loaded[rest:])
	o.loaded = o.loaded[:rest]
	return len(b.messages)+len(b.extended)+n > 0
}

// written frees the slots of a batch. It comes before the owners hear of it,
// for they may use them at once.
func (o *outbox) written(w Written) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used.Messages -= w.Messages
	o.used.Extended -= w.Extended
	o.used.Loaded -= w.Loaded
}

// close ends the lanes and releases what is in them. Slots do not come back:
// they end with the connection.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed, o.start = true, nil
	left := batch{loaded: o.loaded}
	o.messages, o.extended, o.loaded = nil, nil, nil
	o.mu.Unlock()
	left.empty()
}

// empty releases the loans of the batch and lets go of its payloads.
func (b *batch) empty() {
	for len(b.loaded) > 0 { // one by one: should a Release panic, none is released twice
		last := len(b.loaded) - 1
		of := b.loaded[last].Of
		b.loaded[last] = upload{}
		b.loaded = b.loaded[:last]
		of.Release()
	}
	clear(b.messages)
	clear(b.extended)
	b.messages, b.extended = b.messages[:0], b.extended[:0]
}
