package discovery

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of a message of BEP 14.
const (
	// MaxSearch is the longest message, in bytes: it has to fit into one
	// packet of any link (BEP 14).
	MaxSearch = 1400
	// MaxSought is how many torrents one message of ours names; as many lines
	// fit into MaxSearch, whatever the rest of the message is.
	MaxSought = 24
)

// Search is a message of BEP 14: who accepts peers for which torrents. Where
// is the address that the message came from.
type Search struct {
	Port       uint16     // never 0
	Infohashes [][20]byte // one at least
	Cookie     string     // by which its sender knows it again; "" = none
}

// ErrSearch is that a message is not one of BEP 14.
var ErrSearch = errors.New("not a message of local service discovery")

const searchLine = "BT-SEARCH * HTTP/1.1\r\n"

// Append appends s as it is sent to a group. More than MaxSought torrents, or
// none, are the caller's bug.
func (s Search) Append(b []byte, group netip.AddrPort) []byte {
	if len(s.Infohashes) == 0 || len(s.Infohashes) > MaxSought {
		panic(fmt.Sprintf("discovery: %d infohashes in one message", len(s.Infohashes)))
	}
	b = fmt.Appendf(append(b, searchLine...), "Host: %s\r\nPort: %d\r\n", group, s.Port)
	for _, hash := range s.Infohashes {
		b = fmt.Appendf(b, "Infohash: %x\r\n", hash)
	}
	if s.Cookie != "" {
		b = fmt.Appendf(b, "cookie: %s\r\n", s.Cookie)
	}
	return append(b, "\r\n\r\n"...)
}

// ParseSearch reads a message. Headers that BEP 14 does not know are left out;
// one that it knows must be right. What follows the empty line is not read.
func ParseSearch(b []byte) (s Search, err error) {
	head, isSearch := bytes.CutPrefix(b, []byte(searchLine))
	if len(b) > MaxSearch || !isSearch {
		return Search{}, ErrSearch
	}
	for {
		line, rest, whole := bytes.Cut(head, []byte("\r\n"))
		if !whole {
			return Search{}, fmt.Errorf("%w: it breaks off", ErrSearch)
		}
		if head = rest; len(line) == 0 {
			break
		}
		name, value, _ := strings.Cut(string(line), ":")
		if err := s.header(strings.ToLower(name), strings.Trim(value, " \t")); err != nil {
			return Search{}, err
		}
	}
	if s.Port == 0 || len(s.Infohashes) == 0 {
		return Search{}, fmt.Errorf("%w: it lacks a port or an infohash", ErrSearch)
	}
	return s, nil
}

func (s *Search) header(name, value string) error {
	switch name {
	case "port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil || port == 0 || s.Port != 0 {
			return fmt.Errorf("%w: its port is wrong", ErrSearch)
		}
		s.Port = uint16(port)
	case "infohash":
		var hash [20]byte
		if n, err := hex.Decode(hash[:], []byte(value[:min(len(value), 40)])); err != nil || n != 20 || len(value) != 40 {
			return fmt.Errorf("%w: an infohash is wrong", ErrSearch)
		}
		s.Infohashes = append(s.Infohashes, hash)
	case "cookie":
		s.Cookie = value
	}
	return nil
}
