package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"bipfs/diskcache"
	"bipfs/handshake"
	"bipfs/selection"
	"bipfs/wire"
	"bipfs/wire/extension"
	"bipfs/wire/peer"
)

// connection is what a peer and a web seed have in common.
type connection interface {
	Send(peer.Outgoing)
	Close(reason error)
	Counters() peer.Counters
}

// link is one connected peer, or a connection to a web seed, as the loop sees
// it.
type link struct {
	id   wire.Peer
	loop *loop
	conn connection

	hand *handshake.Conn // nil: a web seed
	peer *peer.Conn      // conn; nil: a web seed
	seed *webSeed        // nil: a peer

	// Of the loop alone:
	client     string           // what it calls itself
	metadataID uint8            // what the peer calls ut_metadata; 0 = it has none
	dontHaveID uint8            // what it calls lt_donthave; 0 = it does not speak it
	uploadOnly bool             // it was told that we want no more
	free       int              // slots of the lane for BEP 10
	unsent     []peer.Outgoing  // messages of BEP 10 and 52 that wait for a slot; bounded
	requests   []int            // pieces of our metadata that the peer waits for; bounded
	ranges     []wire.HashRange // hashes that it waits for; bounded
	waits      bool             // an answer with leaves is being worked out for it
	exchange   exchange
	punching   punching

	named bool // it has said where its node of the DHT is; of its reader alone
}

// mostUnsent is how many messages of BEP 10 and 52 wait for one peer: our handshakes
// and requests. One beyond it is not sent; a request is asked again.
const mostUnsent = 64

// Why the engine ends a connection.
var (
	errDormant = fmt.Errorf("nobody reads the torrent any more: %w", handshake.ErrIdle)
	errBanned  = errors.New("the peer sent bad data")
	errPrivate = errors.New("the torrent is private, and the peer is not of its trackers")
)

// lateDisk is the disk cache of a torrent whose metadata may still be missing.
// No request goes out before it is here, so no block can come.
type lateDisk struct {
	p     atomic.Pointer[diskcache.Torrent]
	swaps atomic.Int64 // blocks whose word is with the loop, or on its way there
}

func (d *lateDisk) set(t *diskcache.Torrent) { d.p.Store(t) }
func (d *lateDisk) get() *diskcache.Torrent  { return d.p.Load() }
func (d *lateDisk) Spare() *wire.Buf         { return d.get().Spare() }
func (d *lateDisk) Return(b *wire.Buf)       { d.get().Return(b) }
func (d *lateDisk) Swap(p wire.Peer, b wire.Block, full *wire.Buf) (empty *wire.Buf, lease wire.Lease) {
	d.swaps.Add(1)
	swapped := false
	defer func() {
		if !swapped { // a panic, which ends the peer: its word will not come
			d.swaps.Add(-1)
		}
	}()
	empty, lease = d.get().Swap(p, b, full)
	swapped = true
	return empty, lease
}

// host is the life of one connection, in the goroutine that made it.
func (l *loop) host(ctx context.Context, h *handshake.Conn) error {
	c := l.t.c
	k := &link{id: wire.Peer(c.peers.Add(1)), loop: l, hand: h, free: extendedSlots}
	k.peer = peer.New(peer.Config{
		Peer: k.id, Conn: h.Conn, Reader: h.Reader, Disk: (*peerDisk)(l), Torrent: k, Fast: h.Fast(),
		Slots: peer.Slots{Messages: messageSlots, Extended: extendedSlots, Loaded: loadSlots},
	})
	k.conn = k.peer
	if err := l.put(ctx, joined{k}); err != nil {
		h.Close()
		return err
	}
	l.t.met(k.id, k.conn)
	// A loop that ends takes with it the connections that it has not met yet.
	stop := context.AfterFunc(l.ctx, func() { k.conn.Close(ErrClosed) })
	err := k.peer.Run(ctx)
	stop()
	l.t.parted(k.id)
	l.put(context.Background(), left{k})
	switch {
	case errors.Is(err, errBanned):
		return handshake.ErrBanned
	case errors.Is(err, peer.ErrPanic):
		l.log.Error("a peer ended by a bug", "peer", h.Addr, "err", err)
	}
	return err
}

// Received hands a message of the peer to the loop.
func (k *link) Received(ctx context.Context, p wire.Peer, m wire.Message, payload []byte) error {
	switch m.Kind {
	case wire.Extended:
		return k.loop.put(ctx, extended{p, m.ID, payload})
	case wire.Port:
		k.portNamed(m.Port)
		return nil
	case wire.HashRequest, wire.Hashes, wire.HashReject:
		return k.loop.put(ctx, hashMessage{p, m.Kind, payload})
	}
	return k.loop.put(ctx, selection.Received{Peer: p, Message: m, Payload: payload})
}

// arrivals are blocks of a peer that came one behind the other.
type arrivals struct {
	peer wire.Peer
	n    int
	all  [peer.MostArrivals]peer.Arrival
}

// Arrived tells the loop that blocks have come. The disk cache has them, so the
// loop must know, even if the connection ends meanwhile: or they would be asked
// for again and again, and refused each time.
func (k *link) Arrived(_ context.Context, p wire.Peer, all []peer.Arrival) error {
	e := arrivals{peer: p, n: len(all)}
	copy(e.all[:], all)
	return k.loop.put(context.Background(), e)
}

// Stored is Arrived for a block of a web seed.
func (k *link) Stored(_ context.Context, p wire.Peer, b wire.Block, lease wire.Lease) error {
	return k.loop.put(context.Background(), selection.Stored{Peer: p, Block: b, Lease: lease})
}

func (l *loop) storedBlock(e selection.Stored) {
	l.stored++
	l.leafBlock(e)
	l.step(e)
}

// extendedWritten returns slots of the lane for BEP 10.
type extendedWritten struct {
	peer wire.Peer
	n    int
}

// Written gives slots back to the loop.
func (k *link) Written(ctx context.Context, p wire.Peer, w peer.Written) error {
	if w.Extended > 0 {
		if err := k.loop.put(ctx, extendedWritten{p, w.Extended}); err != nil {
			return err
		}
	}
	if w.Messages == 0 && w.Loaded == 0 {
		return nil
	}
	return k.loop.put(ctx, selection.Written{Peer: p, Messages: w.Messages, Loads: w.Loaded})
}

// Starved tells the loop of a request that was not sent.
func (k *link) Starved(ctx context.Context, p wire.Peer, b wire.Block) error {
	return k.loop.put(ctx, selection.Starved{Peer: p, Block: b})
}

// unload tells the loop that a block could not be loaded. It runs on a worker
// of the disk cache, which must not wait for the loop: a goroutine does.
func (k *link) unload(b wire.Block) {
	k.loop.t.c.spawn(func() { k.loop.put(context.Background(), selection.Unloaded{Peer: k.id, Block: b}) })
}

// join makes a new peer known to the machine.
func (l *loop) join(k *link) {
	if l.ending {
		k.conn.Close(errDormant)
	}
	if l.foreign(k) {
		k.conn.Close(errPrivate)
	}
	l.links[k.id] = k
	l.pinSoon()
	if k.seed != nil {
		l.joinWebSeed(k)
		return
	}
	l.step(selection.PeerConnect{
		Peer: k.id, Slots: messageSlots, Loads: loadSlots, Fast: k.hand.Fast(),
		Incoming: k.hand.Incoming, Addr: k.hand.Addr.Addr(), Trip: k.hand.Trip,
	})
	if k.hand.Extended() {
		k.extend(0, l.hello(k))
	}
	l.allow(k)
	l.namePort(k)
	if l.layers != nil && k.tellsLeaves(l.layers.info) {
		l.layers.offer(k.id)
		l.askLayers()
	}
}

// leave forgets a peer that has gone.
func (l *loop) leave(k *link) {
	if l.links[k.id] == nil {
		return
	}
	delete(l.links, k.id)
	l.moved(k, true)
	l.step(selection.PeerDisconnect{Peer: k.id})
	if l.meta != nil {
		l.meta.gone(k.id)
		l.askMetadata()
	}
	if l.layers != nil {
		l.layers.gone(k.id)
		l.askLayers()
	}
	if l.leaves != nil {
		l.leaves.gone(k.id)
	}
}

// drop ends a connection at the machine's word.
func (l *loop) drop(c selection.Drop) {
	if l.dropWebSeed(c) {
		return
	}
	k := l.links[c.Peer]
	if c.Ban {
		l.log.Warn("a peer is banned", "peer", c.Addr, "reason", c.Reason)
		l.banned(c.Addr, c.Reason)
	}
	if k == nil {
		return
	}
	if c.Ban {
		k.conn.Close(errBanned)
		return
	}
	l.log.Debug("a peer is dropped", "peer", k.hand.Addr, "reason", c.Reason)
	k.conn.Close(errors.New(c.Reason))
}

// extend sends a message of BEP 10 when there is a slot for it.
func (k *link) extend(id uint8, payload []byte) {
	k.side(wire.Message{Kind: wire.Extended, ID: id}, payload)
}

// side sends a message of the engine's own when there is a slot for it.
func (k *link) side(m wire.Message, payload []byte) {
	m.Payload = uint32(len(payload))
	o := peer.Outgoing{Message: m, Payload: payload}
	switch {
	case k.free > 0:
		k.free--
		k.peer.Extend(o)
	case len(k.unsent) < mostUnsent:
		k.unsent = append(k.unsent, o)
	}
}

// extendedWrote sends what waited for the slots that came back.
func (l *loop) extendedWrote(e extendedWritten) {
	k := l.links[e.peer]
	if k == nil {
		return
	}
	k.free += e.n
	for k.free > 0 && len(k.unsent) > 0 {
		k.free--
		k.peer.Extend(k.unsent[0])
		k.unsent = k.unsent[1:]
	}
	l.tellComplete(k)
	l.answerMetadata(k)
	l.answerHashes(k)
}

// ourMetadata is what we call ut_metadata.
const ourMetadata = 1

// hello is our extended handshake, as k is about to be sent it.
func (l *loop) hello(k *link) []byte {
	h := extension.Handshake{
		M: map[string]uint8{extension.UTMetadata: ourMetadata, extension.LTDontHave: ourDontHave},
		V: "bipfs " + l.t.c.cfg.Version, Reqq: requestQueue,
		Port: l.t.c.portFor(k.hand.Addr.Addr()), YourIP: k.hand.Addr.Addr(),
	}
	h.UploadOnly, h.Downloads = l.complete, k.uploadOnly && !l.complete
	k.uploadOnly = l.complete
	if info := l.t.Info(); info != nil {
		h.MetadataSize = int64(len(info.Raw))
	}
	h.M[extension.UTPex], h.M[extension.UTHolepunch] = 0, 0 // takes back what was said before the metadata came
	if l.exchanges() {
		h.M[extension.UTPex] = ourPEX
	}
	if l.punches() {
		h.M[extension.UTHolepunch] = ourHolepunch
	}
	return h.Append(nil)
}

// extension takes a message of BEP 10.
func (l *loop) extension(e extended) {
	k := l.links[e.peer]
	if k == nil {
		return
	}
	switch e.id {
	case 0:
		l.greeted(k, e.payload)
	case ourMetadata:
		l.metadataMessage(k, e.payload)
	case ourPEX:
		l.hearPeers(k, e.payload)
	case ourDontHave:
		l.lost(k, e.payload)
	case ourHolepunch:
		l.holepunch(k, e.payload)
	}
}

func (l *loop) greeted(k *link, payload []byte) {
	h, err := extension.ParseHandshake(payload)
	if err != nil {
		k.conn.Close(err)
		return
	}
	if id, said := h.M[extension.UTMetadata]; said { // a later handshake says what has changed
		k.metadataID = id
	}
	if h.V != "" {
		k.client = printable(h.V)
	}
	l.says(k, h)
	l.introduce(k, h)
	l.t.c.toldUs(k.hand.Addr.Addr(), h.YourIP)
	if l.meta == nil {
		return
	}
	if k.metadataID == 0 {
		l.meta.gone(k.id) // it may have had it in an earlier handshake
	} else {
		l.meta.offer(k.id, h.MetadataSize)
	}
	l.askMetadata()
}

// wrote notes uploads: a torrent that uploads is not idle.
func (l *loop) wrote(w selection.Written) {
	if w.Loads > 0 {
		l.lastUse = time.Now()
	}
}

// judge notes whether some peer is useful. It looks at all of them, so not at
// every event.
func (l *loop) judge() {
	now := time.Now()
	if l.unjudged = now.Sub(l.judged) < judgeEvery; !l.unjudged {
		l.judged = now
		useful := l.m.Useful()
		l.t.setUseful(useful)
		if l.lacks = !useful && l.reading(); l.lacks {
			l.announceSooner()
		}
	}
}
