// Package discovery finds peers: by HTTP, HTTPS (BEP 3) and UDP (BEP 15)
// trackers in tiers (BEP 12), with compact answers (BEP 23) and IPv6 (BEP 7),
// in the DHT, and in the local networks.
//
//	Trackers    the trackers of one torrent: whom to ask, and when
//	HTTP, UDP   one announce or scrape: a URL, a question, an answer
//	DHT         our nodes in the distributed hash table (BEP 5)
//	LSD         announces to the networks that we are in (BEP 14)
//
// What a tracker says is hostile until proven otherwise: its answer is bounded
// in time and bytes before it is read, its numbers are clamped, its text is
// cleaned before a person sees it.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of one announce.
const (
	AnnounceTime = 30 * time.Second // from the first packet to the last byte
	MaxBody      = 1 << 20          // bytes of an answer, unpacked
	MaxURL       = 4 << 10          // bytes of a tracker's URL
	MaxTrackerID = 1 << 10          // bytes; a longer one is not given back
	MaxPeers     = 2000             // of one answer
	MinNumWant   = 50               // peers to ask for
	MaxNumWant   = 200
)

// The events of an announce (BEP 3). An announce at its interval has none.
const (
	Started   = "started"
	Completed = "completed"
	Stopped   = "stopped"
)

// Announce is what a tracker is told and asked.
type Announce struct {
	Infohash   [20]byte
	PeerID     [20]byte
	Port       int    // where we accept peers
	Uploaded   int64  // bytes since `started`
	Downloaded int64  // bytes since `started`
	Left       int64  // bytes that are missing
	Event      string // Started, Completed, Stopped or none
	NumWant    int    // peers wanted
	Key        uint32 // proves to the tracker that we are the same when our address changes
	TrackerID  string // what this tracker called us in an earlier answer
}

// HTTP announces to HTTP and HTTPS trackers. Which addresses a URL may reach
// is for the Client to judge.
type HTTP struct{ Client *http.Client }

// Reasons why a tracker is not asked at all.
var (
	ErrScheme = errors.New("only http, https and udp trackers are asked")
	ErrURL    = errors.New("not the URL of a tracker")
	ErrNoUDP  = errors.New("UDP trackers are not asked")
)

// Failure is a tracker's refusal, in its own words made safe to show.
type Failure struct{ Reason string }

func (f *Failure) Error() string {
	if f.Reason == "" {
		return "the tracker refuses and does not say why"
	}
	return "the tracker says: " + f.Reason
}

// Announce asks the tracker at tracker and waits for its answer, AnnounceTime
// at most. An error never contains the URL, whose path is a secret at private
// trackers.
func (t HTTP) Announce(ctx context.Context, tracker string, a Announce) (Answer, error) {
	u, err := announceURL(tracker, a)
	if err != nil {
		return Answer{}, err
	}
	body, from, err := t.get(ctx, u)
	if err != nil {
		return Answer{}, err
	}
	answer, err := ParseAnswer(body)
	if err == nil {
		answer.Peers, answer.From = reachable(answer.Peers, from), from
	}
	return answer, err
}

// get fetches u, in AnnounceTime and MaxBody. The body of an answer that is not
// 200 OK is given too, if it says why.
func (t HTTP) get(ctx context.Context, u string) (body []byte, from netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnnounceTime)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		addr, _ := netip.ParseAddrPort(i.Conn.RemoteAddr().String())
		from = addr.Addr().Unmap()
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, from, ErrURL
	}
	res, err := t.Client.Do(req)
	if err != nil {
		return nil, from, withoutURL(err)
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return nil, from, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(body) > MaxBody {
		return nil, from, fmt.Errorf("the answer is longer than %d bytes", MaxBody)
	}
	if res.StatusCode != http.StatusOK {
		var refusal *Failure
		if _, err := ParseAnswer(body); !errors.As(err, &refusal) {
			return nil, from, fmt.Errorf("the tracker answers %s", forPeople(res.Status))
		}
	}
	return body, from, nil
}

// announceURL is the URL that asks a at the tracker at tracker. What the URL
// has in its query stays (private trackers keep their keys there), unless it
// speaks for us.
func announceURL(tracker string, a Announce) (string, error) {
	u, err := checkURL(tracker)
	if err == nil && u.Scheme == "udp" {
		err = ErrScheme
	}
	if err != nil {
		return "", err
	}
	q := make([]byte, 0, 512)
	if u.RawQuery != "" {
		q = append(append(q, u.RawQuery...), '&')
	}
	q = appendEscaped(append(q, "info_hash="...), a.Infohash[:])
	q = appendEscaped(append(q, "&peer_id="...), a.PeerID[:])
	q = fmt.Appendf(q, "&port=%d&uploaded=%d&downloaded=%d&left=%d&compact=1&no_peer_id=1&numwant=%d",
		a.Port, a.Uploaded, a.Downloaded, a.Left, a.NumWant)
	if !u.Query().Has("key") { // some private trackers have a key of their own there
		q = fmt.Appendf(q, "&key=%08X", a.Key)
	}
	if a.Event != "" {
		q = append(append(q, "&event="...), a.Event...)
	}
	if a.TrackerID != "" {
		q = appendEscaped(append(q, "&trackerid="...), []byte(a.TrackerID))
	}
	u.RawQuery, u.Fragment, u.RawFragment = string(q), "", ""
	return u.String(), nil
}

// ours are the arguments of the query that only we may give.
var ours = []string{"info_hash", "peer_id", "port", "uploaded", "downloaded", "left",
	"compact", "no_peer_id", "numwant", "event", "trackerid", "ip"}

// checkURL parses the URL of a tracker.
func checkURL(tracker string) (*url.URL, error) {
	if len(tracker) > MaxURL {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrURL, MaxURL)
	}
	u, err := url.Parse(tracker)
	if err != nil {
		return nil, ErrURL
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp" {
		return nil, ErrScheme
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("%w: it names no host", ErrURL)
	}
	if u.Scheme == "udp" && u.Port() == "" {
		return nil, fmt.Errorf("%w: a UDP tracker has no port of its own", ErrURL)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("%w: port %s", ErrURL, forPeople(port))
		}
	}
	for argument := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(argument, "=")
		if name, err = url.QueryUnescape(name); err != nil {
			return nil, ErrURL
		}
		if slices.Contains(ours, name) {
			return nil, fmt.Errorf("%w: its query sets %s, which is ours to set", ErrURL, name)
		}
	}
	return u, nil
}

// appendEscaped appends raw bytes in the escapes of a URL (RFC 3986): all but
// the unreserved characters, as trackers compare them byte by byte.
func appendEscaped(q, raw []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range raw {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			q = append(q, c)
		default:
			q = append(q, '%', hex[c>>4], hex[c&15])
		}
	}
	return q
}

// withoutURL is what went wrong in a request, without the URL that net/http
// puts before it.
func withoutURL(err error) error {
	var in *url.Error
	if errors.As(err, &in) {
		err = in.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	return err
}

// reachable leaves out the peers on this machine and on its links, unless the
// tracker that named them is there too: a tracker in the world must not make
// us knock at our own doors. One of whom nobody knows where it is, is in the world.
func reachable(peers []netip.AddrPort, tracker netip.Addr) []netip.AddrPort {
	if tracker.IsLoopback() || tracker.IsPrivate() || tracker.IsLinkLocalUnicast() {
		return peers
	}
	kept := peers[:0]
	for _, p := range peers {
		if ip := p.Addr(); !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			kept = append(kept, p)
		}
	}
	return kept
}
