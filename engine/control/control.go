// Package control is how other programs talk to a running mount: HTTP and JSON
// on a unix socket, one for each mount (docs/API.md).
//
//	bipfs ls ──▶ Client ──▶ socket ──▶ Serve ──▶ Daemon
//	            client.go    socket.go  serve.go   (the engine, behind cmd/bipfs)
//
// Who may open the socket may do what its owner may: that is checked when the
// connection is accepted, and nowhere else. Within v1 fields are only added.
// Sizes are integers of bytes, times are RFC 3339, and the infohash in lower-case
// hexadecimal digits is the only name of a torrent.
package control

import (
	"context"
	"errors"
	"time"
)

// API is the version of the interface, as in the paths: /v1/.
const API = 1

// What becomes of a request. An error that is none of these is the daemon's own.
var (
	ErrUnknown = errors.New("not found")                       // 404: there is no such torrent, or path
	ErrBad     = errors.New("bad request")                     // 400: the request is wrong in itself
	ErrRefused = errors.New("refused")                         // 409: it is right, and cannot be done now
	errMethod  = errors.New("the resource has no such method") // 405
)

// As is err, to be answered as kind, which is one of the above.
func As(kind, err error) error { return verdict{err, kind} }

type verdict struct{ why, kind error }

func (v verdict) Error() string   { return v.why.Error() }
func (v verdict) Unwrap() []error { return []error{v.why, v.kind} }

// Daemon is what is controlled. Its methods are called by many goroutines at
// once, and end with their contexts.
type Daemon interface {
	Catalogue
	Commands
	Observer
	Picture
}

// Catalogue tells what there is. Nothing in it waits.
type Catalogue interface {
	Status() Status
	Torrents() []Torrent
	// Torrent finds a torrent by either of its infohashes.
	Torrent(infohash string) (Torrent, error)
	// Lookup finds a path below the mount point.
	Lookup(path string) (Path, error)
}

// Commands change it.
type Commands interface {
	// Add adds a torrent, which is stored when it returns.
	Add(ctx context.Context, s Source) (Torrent, error)
	Remove(infohash string, deleteData bool) error
	// Decide starts, stops, pauses or resumes a torrent.
	Decide(infohash string, v Verb) error
	// Pin and Unpin change what is fetched in the background and never evicted: a
	// path, and all below it.
	Pin(path string) (Path, error)
	Unpin(path string) (Path, error)
	// Limit changes the limits of a torrent, or of all together ("").
	Limit(infohash string, l Limits) error
	// Verify checks all that is here of a torrent.
	Verify(ctx context.Context, infohash string) (Verified, error)
}

// Observer tells what happens.
type Observer interface {
	// Resolved waits until the metadata of a torrent is here, or cannot be used.
	Resolved(ctx context.Context, infohash string) error
	Peers(ctx context.Context, infohash string) ([]Peer, error)
	// Why is what the reads of a path, and of all below it, wait for.
	Why(ctx context.Context, path string) (Why, error)
	// Events are those after since that are still known, the oldest first, how
	// many between are not, and what is closed when there are more.
	Events(since uint64) (events []Event, missed uint64, more <-chan struct{})
}

// Picture is a torrent as it looks from inside. Nothing in it waits for the swarm.
type Picture interface {
	Pieces(infohash string) (Pieces, error)
	Readers(infohash string) ([]Reading, error)
}

// Verb is what a user may decide of a torrent.
type Verb string

// The verbs.
const (
	Start  Verb = "start"
	Stop   Verb = "stop"
	Pause  Verb = "pause"
	Resume Verb = "resume"
)

// Status is the daemon.
type Status struct {
	API        int       `json:"api"`
	Version    string    `json:"version"` // of the program
	PID        int       `json:"pid"`
	KeeperPID  int       `json:"keeper_pid,omitempty"` // of `mount -d`
	Mountpoint string    `json:"mountpoint"`
	Data       string    `json:"data"` // its data folder
	Started    time.Time `json:"started"`
	Torrents   int       `json:"torrents"`
	Peers      int       `json:"peers"`
	Downloaded int64     `json:"downloaded"` // payload bytes, ever
	Uploaded   int64     `json:"uploaded"`   // payload bytes, ever
	Free       int64     `json:"free"`       // bytes that may still be stored
	Storing    bool      `json:"storing"`    // false while the store is full
	Seq        uint64    `json:"seq"`        // of the latest event; 0: none yet
	// HTTPURL is the address of --http with its token, which lets in whoever has it;
	// "": there is none.
	HTTPURL string `json:"http_url,omitempty"`
	// Limits in bytes a second, 0: none: of blocks that come, of those of them that
	// nobody waits for, and of blocks that are sent.
	DownLimit       int64 `json:"down_limit"`
	BackgroundLimit int64 `json:"background_limit"`
	UpLimit         int64 `json:"up_limit"`
}

// Torrent is one torrent.
type Torrent struct {
	Infohash    string    `json:"infohash"`
	InfohashV2  string    `json:"infohash_v2,omitempty"` // of a hybrid, once it is known
	Name        string    `json:"name"`                  // in the mount
	Folder      string    `json:"folder,omitempty"`      // of the mount, that it stands in; "" is the root
	State       string    `json:"state"`                 // resolving, dormant, active, seeding, stopped, unusable
	Paused      bool      `json:"paused"`
	Complete    bool      `json:"complete"` // all of it is here
	Private     bool      `json:"private"`
	Pinned      string    `json:"pinned"` // all, part or "": what is fetched in the background, and never evicted
	Length      int64     `json:"length"` // bytes; 0 while resolving
	Here        int64     `json:"here"`   // bytes, in whole pieces
	Files       int       `json:"files"`
	Pieces      int       `json:"pieces"`
	PieceLength int64     `json:"piece_length"`
	Added       time.Time `json:"added"`
	Downloaded  int64     `json:"downloaded"` // payload bytes, ever
	Uploaded    int64     `json:"uploaded"`   // payload bytes, ever
	Peers       int       `json:"peers"`      // connected
	Known       int       `json:"known"`      // addresses of peers
	Open        int       `json:"open"`       // files, and fetches of the whole
	Trackers    []string  `json:"trackers"`   // without path and query, which may be secret
	WebSeeds    []string  `json:"web_seeds"`  // the same
	Error       string    `json:"error,omitempty"`
	DownLimit   int64     `json:"down_limit"` // bytes a second, 0: no limit of its own
	UpLimit     int64     `json:"up_limit"`   // the same
}

// Limits are changes of limits, bytes a second, 0: none. What is nil stays.
type Limits struct {
	Down       *int64 `json:"down,omitempty"`
	Background *int64 `json:"background,omitempty"` // of all torrents together only
	Up         *int64 `json:"up,omitempty"`
}

// Path is a place in the mount: a torrent, or a folder or file of it.
type Path struct {
	Torrent Torrent `json:"torrent"`
	Path    string  `json:"path"` // below the torrent's directory; "" is that
	Kind    string  `json:"kind"` // directory, file, link
	Length  int64   `json:"length"`
	Here    int64   `json:"here"`   // bytes of it that are here
	Pinned  bool    `json:"pinned"` // all of it is
}

// Peer is one connected peer, or a connection to a web seed.
type Peer struct {
	Address     string `json:"address"` // host:port; of a web seed its URL, without path and query
	Kind        string `json:"kind"`    // peer, web seed
	Client      string `json:"client"`  // as it calls itself
	Source      string `json:"source"`  // who named it: user, tracker, magnet, LSD, DHT, pex, holepunch, incoming
	Transport   string `json:"transport"`
	Encrypted   bool   `json:"encrypted"`
	Pieces      int    `json:"pieces"`     // that it has
	Downloaded  int64  `json:"downloaded"` // payload bytes from it
	Uploaded    int64  `json:"uploaded"`   // payload bytes to it
	Rate        int64  `json:"rate"`       // bytes a second that it can deliver, by what it did when it was asked for enough; 0 is unknown
	RTT         int64  `json:"rtt_ms"`     // milliseconds to an answer; 0 is unknown
	Outstanding int    `json:"outstanding"`
	Chokes      bool   `json:"chokes"` // it chokes us
	Choked      bool   `json:"choked"` // we choke it
	Interested  bool   `json:"interested"`
	Snubbed     bool   `json:"snubbed"` // it owes blocks and is silent
}

// Why is what the reads of a path wait for.
type Why struct {
	Infohash string `json:"infohash"`
	Path     string `json:"path"`   // below the torrent's directory; "" is that
	State    string `json:"state"`  // of the torrent, as in Torrent
	Paused   bool   `json:"paused"` // the torrent is: nothing is asked for
	Reads    int    `json:"reads"`  // that wait
	Waits    []Wait `json:"waits"`  // for each piece, 100 at most; the first to be asked for comes first
}

// Wait is a piece that reads wait for.
type Wait struct {
	Piece   int      `json:"piece"`
	Seconds int64    `json:"seconds"` // since the first of them
	Reads   int      `json:"reads"`   // that wait for it
	By      []string `json:"by"`      // the programs, as far as they are known
	Peers   int      `json:"peers"`   // connected
	Have    int      `json:"have"`    // of these, have it
	Choking int      `json:"choking"` // of those that have it, choke us
	Silent  int      `json:"silent"`  // of those that have it, owe blocks and are silent
	Asked   int      `json:"asked"`   // of those that have it, have been asked for blocks of it
}

// Pieces is which pieces of a torrent are here.
type Pieces struct {
	Infohash string `json:"infohash"`
	Pieces   int    `json:"pieces"`   // of the torrent; 0 while resolving
	Here     []byte `json:"here"`     // a bitfield (BEP 3), in base64: piece 0 is the highest bit of its first byte
	Fetching []int  `json:"fetching"` // those that are being put together
}

// Reading is a place at which a file is read.
type Reading struct {
	File    string `json:"file"`    // below the torrent's directory
	Program string `json:"program"` // "" if it is not known; "http": a client of --http
	Offset  int64  `json:"offset"`  // in the file, where it goes on
	Length  int64  `json:"length"`  // of the file
	Read    int64  `json:"read"`    // bytes that were asked for since the file was opened
	Piece   int    `json:"piece"`   // where it goes on
	Until   int    `json:"until"`   // the last piece that is fetched ahead of it, or piece
}

// Source is what a torrent is added by: either Link or Torrent is set.
type Source struct {
	// Link is a magnet link, an infohash, or the http(s) URL of a .torrent. A
	// path is none: the daemon reads no files that it is told of.
	Link string `json:"link"`
	// Torrent is a .torrent, sent as the body itself.
	Torrent []byte `json:"-"`
	// Folder is the folder of the mount that it is to stand in, from the root; "" is that.
	// With a .torrent it is the parameter folder.
	Folder string `json:"folder,omitempty"`
}

// Verified is what a check of a torrent's data has found, in pieces.
type Verified struct {
	Pieces  int `json:"pieces"`  // of the torrent
	Here    int `json:"here"`    // are here, and right
	Damaged int `json:"damaged"` // were here, and are not any more
	Found   int `json:"found"`   // were not known to be here, and are
}

// Event is something that happened.
type Event struct {
	Seq      uint64    `json:"seq"` // one more than that of the event before
	Time     time.Time `json:"time"`
	Event    string    `json:"event"` // docs/API.md has all
	Infohash string    `json:"infohash,omitempty"`
	Name     string    `json:"name,omitempty"`
	Folder   string    `json:"folder,omitempty"` // of the torrent, as in Torrent
	Path     string    `json:"path,omitempty"`   // of a file, below the mount point
	Peer     string    `json:"peer,omitempty"`
	Tracker  string    `json:"tracker,omitempty"` // without path and query
	Error    string    `json:"error,omitempty"`
	Missed   uint64    `json:"missed,omitempty"` // events that are not known any more
}
