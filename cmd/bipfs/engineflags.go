package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"bipfs/engine"
)

// engineFlags are the flags of every command that runs an engine.
type engineFlags struct {
	Memory             Size              `help:"Bound on block memory (default: the smallest of 256MiB, a quarter of RAM, a quarter of the cgroup's memory.max)." placeholder:"SIZE"`
	KeepFree           *Size             `help:"Never store below this much free space (default: the larger of 1GiB and 5 %)." placeholder:"SIZE"`
	Listen             []string          `help:"Accept peers at this address: :6881 is all addresses, 0.0.0.0:6881 those of IPv4 alone, [::]:6881 of IPv6; repeatable (default: all addresses, a port chosen once and kept)." placeholder:"ADDR" sep:"none"`
	Peer               []string          `help:"A peer to try for every torrent; repeatable." placeholder:"HOST:PORT" sep:"none"`
	ReadTimeout        time.Duration     `default:"60s" help:"A read without progress this long fails; 0 waits for ever." placeholder:"DUR"`
	NoUpload           bool              `help:"Upload nothing."`
	Down               Rate              `help:"Blocks that come, of all torrents together; bipfs limit changes it (default: off)." placeholder:"RATE"`
	Up                 Rate              `help:"Blocks that are sent (default: off)." placeholder:"RATE"`
	Background         Rate              `help:"Blocks that come and nobody waits for, as what is pinned (default: off)." placeholder:"RATE"`
	MaxPeers           int               `help:"Connected peers, of all torrents (default: as many as memory and files allow)." placeholder:"N"`
	MaxPeersPerTorrent int               `help:"Connected peers of one torrent (default: 1060)." placeholder:"N"`
	Encryption         engine.Encryption `default:"prefer" help:"Encryption of peer connections: prefer dials with it first and accepts both; require encrypts all that is sent and refuses plain peers; off is plain only." placeholder:"prefer|require|off"`
	Bind               string            `help:"Send all packets from this device or address, or not at all." placeholder:"IFACE|ADDR"`
	Proxy              string            `help:"Reach peers, trackers and URLs through this proxy (socks5:// or http://), or not at all: no incoming peers, no UDP, no names looked up here." placeholder:"URL"`
	Blocklist          string            `help:"Meet no peer on this list (PeerGuardian, CIDR, eMule; gzip or not); read again at SIGHUP." placeholder:"FILE|URL"`
	NoUTP              bool              `name:"no-utp" help:"Reach peers over TCP only."`
	NoPEX              bool              `name:"no-pex" help:"Exchange no addresses of peers with peers."`
	NoPortMap          bool              `name:"no-port-map" help:"Do not ask the router to let peers in."`
	LSD                bool              `name:"lsd" negatable:"" help:"Tell the local networks which torrents are read, and find peers there."`
	NoDHT              bool              `name:"no-dht" help:"Take no part in the DHT."`
	DHTNode            []string          `name:"dht-node" help:"A node to find the DHT through; repeatable (default: three well-known ones)." placeholder:"HOST:PORT" sep:"none"`
	logFlags
}

// check reports what is wrong with the flags, as far as it can be seen without doing
// anything.
func (f engineFlags) check() error {
	if f.ReadTimeout < 0 {
		return usagef("--read-timeout %v is negative", f.ReadTimeout)
	}
	if f.Memory != 0 && int64(f.Memory) < engine.LeastMemory {
		return usagef("--memory %v is too little: at least %v are needed", f.Memory, Size(engine.LeastMemory))
	}
	for _, peer := range f.Peer {
		if err := engine.CheckHostPort(peer); err != nil {
			return usagef("--peer %s: %w", peer, err)
		}
	}
	for _, addr := range f.Listen {
		if err := engine.CheckListen(addr); err != nil {
			return usagef("--listen %s: %w", addr, err)
		}
	}
	if _, err := engine.ParseProxy(f.Proxy); err != nil {
		return usagef("--proxy: %w", err)
	}
	if f.Proxy != "" && len(f.Listen) > 0 {
		return usagef("--listen and --proxy exclude each other: who connects here goes around the proxy")
	}
	for _, node := range f.DHTNode {
		if err := engine.CheckHostPort(node); err != nil {
			return usagef("--dht-node %s: %w", node, err)
		}
	}
	if f.MaxPeers < 0 || f.MaxPeersPerTorrent < 0 {
		return usagef("--max-peers and --max-peers-per-torrent are not negative")
	}
	return nil
}

// config is the engine's, over the data folder dir.
func (f engineFlags) config(dir string, log *slog.Logger) (engine.Config, error) {
	if err := f.check(); err != nil {
		return engine.Config{}, err
	}
	memory := int64(f.Memory)
	if memory == 0 {
		memory = max(defaultMemory(), engine.LeastMemory)
	}
	nodes := f.DHTNode
	if len(nodes) == 0 {
		nodes = engine.DHTNodes
	}
	free, err := f.keepFree(dir)
	if err != nil {
		return engine.Config{}, err
	}
	limitHeap(memory)
	return engine.Config{
		Dir: dir, Memory: memory, KeepFree: free, Listen: f.Listen, Peers: f.Peer,
		ReadTimeout: f.ReadTimeout, NoUpload: f.NoUpload, Encryption: f.Encryption,
		Limits:   f.rates(),
		MaxPeers: f.MaxPeers, MaxTorrentPeers: f.MaxPeersPerTorrent,
		NoPEX: f.NoPEX, NoUTP: f.NoUTP, NoPortMap: f.NoPortMap, LSD: f.LSD, DHT: !f.NoDHT, DHTNodes: nodes,
		Blocklist: f.Blocklist, Bind: f.Bind, Proxy: f.Proxy, Version: version, Log: log,
	}, nil
}

// rates are the limits of all torrents together.
func (f engineFlags) rates() engine.Rates {
	return engine.Rates{Down: int64(f.Down), Background: int64(f.Background), Up: int64(f.Up)}
}

// keepFree is the flag, or the larger of 1 GiB and 5 % of the filesystem.
func (f engineFlags) keepFree(dir string) (int64, error) {
	if f.KeepFree != nil {
		return int64(*f.KeepFree), nil
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("the free space of %s cannot be read: %w", dir, err)
	}
	return max(1<<30, int64(s.Blocks)*int64(s.Bsize)/20), nil
}

// heapGrowth is by how many percent the Go heap may grow over what lives before
// it is collected. Nothing that flows is in it, so a collection is seldom; and
// with thousands of idle peers what lives is their stacks, which makes each
// percent dear.
const heapGrowth = 50

// limitHeap keeps the Go heap small beside the block memory, which lies
// outside of it, unless the user has set GOGC or GOMEMLIMIT.
func limitHeap(memory int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	heap := int64(512 << 20)
	if limit, ok := groupMemory(); ok {
		heap = min(heap, max((limit-memory)*3/4, 32<<20))
	}
	debug.SetMemoryLimit(heap)
}

// dataDir is the data folder: the flag, $STATE_DIRECTORY, or bipfs in
// $XDG_DATA_HOME. It is made where it is missing.
func dataDir(flag string) (string, error) {
	dir, err := dataPath(flag)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("the data folder %s cannot be made: %w", dir, err)
	}
	return dir, nil
}

// dataPath is the data folder, which may be missing.
func dataPath(flag string) (string, error) {
	dir := flag
	if dir == "" {
		// systemd gives a list when a unit has several; the first is ours.
		dir, _, _ = strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	}
	if dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", errors.New("there is no home directory for the data: name one with --data DIR")
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "bipfs")
	}
	return filepath.Abs(dir)
}
