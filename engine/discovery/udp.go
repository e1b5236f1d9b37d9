package discovery

// One announce or scrape is a conversation over one connected socket, so that
// the kernel lets in packets of the tracker's address only:
//
//	            no id, or over a minute old
//	 ┌────────────────────┐
//	 v                    │
//	connect ──id──> announce or scrape ──> answer
//	 │ ^               │ ^                   └ or the tracker's refusal, or ICMP
//	 └─┘               └─┘                     says that nobody listens there
//	   silence: again, after 2, 4, 8, 16 s
//
// BEP 15 waits 15 s before it sends again, and doubles that eight times, for an
// hour: it spares trackers, and was written for programs that nobody looks at.
// Here somebody may be waiting for the first byte of a film, one lost packet
// must not cost 15 s, and the whole is over after AnnounceTime. So the waits
// start at FirstResend and double likewise: a tracker that is down gets at most
// four packets of one announce, and the back-off between announces (MinBackOff
// to MaxBackOff) is what spares it.

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	// FirstResend is the silence after which a packet is sent again; it
	// doubles each time.
	FirstResend = 2 * time.Second
	// MaxStray is how many packets that answer nothing are put up with in one
	// conversation: somebody floods us in the tracker's name.
	MaxStray = 256
)

// UDP announces to UDP trackers, and scrapes them (BEP 15, 41). It may be used
// from any goroutine.
type UDP struct {
	dial func(ctx context.Context, tracker *url.URL) (net.Conn, error)

	mu  sync.Mutex
	ids connections
}

// NewUDP is a UDP that gets its sockets from dial: connected to the host and
// port of the URL, for one conversation. Which addresses may be reached, and of
// which family, is for dial to judge.
func NewUDP(dial func(ctx context.Context, tracker *url.URL) (net.Conn, error)) *UDP {
	return &UDP{dial: dial, ids: connections{}}
}

// ErrFlood is the error of a conversation that was drowned in packets.
var ErrFlood = errors.New("too many packets that answer nothing")

// Announce asks the tracker at tracker and waits for its answer, AnnounceTime
// at most. An error never contains the URL. TrackerID is not told: UDP trackers
// have none.
func (u *UDP) Announce(ctx context.Context, tracker string, a Announce) (answer Answer, err error) {
	at, err := checkUDP(tracker)
	if err != nil {
		return Answer{}, err
	}
	request := at.RequestURI()
	if request == "/" {
		request = ""
	}
	err = u.ask(ctx, at, actionAnnounce, appendAnnounce(nil, a, request), func(body []byte, from netip.Addr) (err error) {
		answer, err = parseAnnounced(body, from)
		return err
	})
	return answer, err
}

// Scrape asks for the state of up to MaxScrape torrents, AnnounceTime at most,
// and gives them in the same order.
func (u *UDP) Scrape(ctx context.Context, tracker string, infohashes [][20]byte) (all []Swarm, err error) {
	at, err := checkUDP(tracker)
	if err != nil {
		return nil, err
	}
	if len(infohashes) > MaxScrape {
		return nil, fmt.Errorf("%d torrents are more than the %d of a scrape", len(infohashes), MaxScrape)
	}
	var hashes []byte
	for _, h := range infohashes {
		hashes = append(hashes, h[:]...)
	}
	err = u.ask(ctx, at, actionScrape, hashes, func(body []byte, _ netip.Addr) (err error) {
		all, err = parseScraped(body, len(infohashes))
		return err
	})
	return all, err
}

func checkUDP(tracker string) (*url.URL, error) {
	u, err := checkURL(tracker)
	if err == nil && u.Scheme != "udp" {
		err = ErrScheme
	}
	return u, err
}

// ask has one conversation. parse takes the body of the answer.
func (u *UDP) ask(ctx context.Context, at *url.URL, action uint32, rest []byte, parse func(body []byte, from netip.Addr) error) error {
	ctx, cancel := context.WithTimeout(ctx, AnnounceTime)
	defer cancel()
	conn, err := u.dial(ctx, at)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A read that waits, and a write, end with ctx.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return fmt.Errorf("the tracker's address is %w", err)
	}
	t := &talk{conn: conn, buf: make([]byte, maxDatagram+1), transactions: map[uint32]uint32{}}
	err = u.converse(ctx, t, remote, action, rest, parse)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	return err
}

// converse is the state machine at the head of this file.
func (u *UDP) converse(ctx context.Context, t *talk, remote netip.AddrPort, action uint32, rest []byte, parse func([]byte, netip.Addr) error) error {
	id, ready := u.connection(remote)
	kept := ready // from an earlier conversation: the tracker may have forgotten it
	for wait := FirstResend; ; {
		if !ready {
			body, err := t.exchange(ctx, wait, actionConnect, func(b []byte, transaction uint32) []byte {
				return appendConnect(b, transaction)
			})
			if silent(ctx, err) {
				wait *= 2
				continue
			}
			if err != nil {
				return err
			}
			id, ready, kept = binary.BigEndian.Uint64(body), true, false
			u.connected(remote, id)
		}
		body, err := t.exchange(ctx, wait, action, func(b []byte, transaction uint32) []byte {
			return append(appendRequest(b, id, action, transaction), rest...)
		})
		var refusal *Failure
		switch {
		case kept && errors.As(err, &refusal):
			kept, ready = false, false // perhaps of the id: once more with another
		case silent(ctx, err):
			wait *= 2
			_, fresh := u.connection(remote)
			ready = fresh && !kept
			kept = false
		case err != nil:
			return err
		default:
			return parse(body, remote.Addr())
		}
	}
}

// silent reports whether err is that nobody answered, though there is time left.
func silent(ctx context.Context, err error) bool {
	end, _ := ctx.Deadline() // ctx itself may be told of it a moment later
	return ctx.Err() == nil && time.Now().Before(end) && errors.Is(err, os.ErrDeadlineExceeded)
}

// connection is the connection id for a tracker, if there is one to use.
func (u *UDP) connection(tracker netip.AddrPort) (id uint64, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids.get(tracker, time.Now())
}

// connected keeps a connection id for the conversations of the next minute.
func (u *UDP) connected(tracker netip.AddrPort, id uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ids.put(tracker, id, time.Now())
}

// talk is the socket of one conversation.
type talk struct {
	conn         net.Conn
	buf          []byte            // of one byte more than the longest answer
	transactions map[uint32]uint32 // by action: a late answer to what was sent first is an answer
	stray        int
}

// exchange sends one packet and waits for its answer, wait at most: an error
// around os.ErrDeadlineExceeded then. The body is good until the next exchange.
func (t *talk) exchange(ctx context.Context, wait time.Duration, action uint32, packet func(b []byte, transaction uint32) []byte) ([]byte, error) {
	transaction, known := t.transactions[action]
	if !known {
		var b [4]byte
		rand.Read(b[:])
		transaction = binary.BigEndian.Uint32(b[:])
		t.transactions[action] = transaction
	}
	t.conn.SetDeadline(time.Now().Add(wait))
	if ctx.Err() != nil { // its end may have set a deadline that we have just replaced
		return nil, os.ErrDeadlineExceeded
	}
	if _, err := t.conn.Write(packet(nil, transaction)); err != nil {
		return nil, err
	}
	for {
		n, err := t.conn.Read(t.buf)
		if err != nil {
			return nil, err
		}
		if body, ok, err := answerBody(t.buf[:n], action, transaction); ok {
			return body, err
		}
		if t.stray++; t.stray > MaxStray {
			return nil, ErrFlood
		}
	}
}
