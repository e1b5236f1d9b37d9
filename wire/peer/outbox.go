package peer

import (
	"fmt"
	"sync"

	"bipfs/wire"
)

// outbox is what waits to be written: three lanes, filled by three owners who
// each count their slots, emptied by the writer.
//
// The bell is a channel of one. A ring while the writer is busy stays in it,
// so a writer that found the lanes empty and goes to sleep cannot miss what
// came in between: there is no wake-up to lose.
type outbox struct {
	bell  chan struct{}
	slots Slots

	mu       sync.Mutex
	used     Slots // in the lanes, or taken by the writer and not written
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

func (o *outbox) ring() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
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
	o.closed = true
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
