package metainfo

import (
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"bipfs/wire"
)

const (
	// MaxMagnet is the longest magnet link, in bytes.
	MaxMagnet = 64 << 10

	// MaxPeers is the largest number of peers taken from a magnet link; what is
	// over it is left out.
	MaxPeers = 100
)

// Magnet is what a magnet link says (BEP 9, 53). Trackers, web seeds and peers
// that cannot be used are left out, as are those over the bounds.
type Magnet struct {
	Hash       wire.Digest // btih; of a link that has none, the beginning of V2
	V2         wire.Hash   // btmh (BEP 52); zero if there is none
	Name       string      // dn, as a safe path element; "" if there is none
	Trackers   []string    // tr: http, https and udp
	Peers      []string    // x.pe: host:port, the host a name or an address, not resolved
	WebSeeds   []string    // ws: http and https
	Length     int64       // xl, bytes; 0 if unknown
	SelectOnly string      // so: numbers and ranges of files, as written; see Selection
}

// ID is the infohashes that the link names.
func (m *Magnet) ID() ID { return ID{m.Hash, m.V2} }

// ParseMagnet reads a magnet link. `&amp;` for `&` is understood, and `+` for
// a space in a name. Of several hashes of a kind the first counts.
func ParseMagnet(uri string) (*Magnet, error) {
	const prefix = "magnet:?"
	uri = strings.TrimSpace(uri)
	if len(uri) > MaxMagnet {
		return nil, fmt.Errorf("not a magnet link: longer than %d KiB", MaxMagnet>>10)
	}
	if len(uri) < len(prefix) || !strings.EqualFold(uri[:len(prefix)], prefix) {
		return nil, errors.New("not a magnet link: it does not begin with magnet:?")
	}
	m := magnetReader{}
	for rest := uri[len(prefix):]; rest != ""; {
		var parameter string
		parameter, rest, _ = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(strings.TrimPrefix(parameter, "amp;"), "=")
		if err := m.read(key, value); err != nil {
			return nil, err
		}
	}
	switch {
	case m.found:
	case m.V2 != wire.Hash{}:
		m.Hash = m.V2.Short()
	case m.badHash:
		return nil, errors.New("broken magnet link: its infohash is neither 40 hexadecimal nor 32 base32 digits")
	case m.badV2:
		return nil, errors.New("broken magnet link: its v2 infohash is not 1220 and 64 hexadecimal digits")
	default:
		return nil, errors.New("broken magnet link: it has no infohash (xt=urn:btih:…); part of the link may be missing, put it in quotes")
	}
	return &m.Magnet, nil
}

// magnetReader collects the parameters of a magnet link.
type magnetReader struct {
	Magnet
	found, badHash, badV2 bool // what sorts of xt there were
}

// read takes one parameter in.
func (m *magnetReader) read(key, value string) error {
	key = strings.ToLower(key)
	if base, number, ok := strings.Cut(key, "."); ok && allDigits(number) {
		key = base // xt.1, tr.2, …
	}
	if key == "dn" {
		value = strings.ReplaceAll(value, "+", " ")
	}
	switch key {
	case "xt", "dn", "tr", "x.pe", "ws", "xl", "so":
	default:
		return nil
	}
	value, err := url.PathUnescape(value)
	if err != nil {
		return fmt.Errorf("broken magnet link: parameter %s: %w", key, err)
	}
	switch key {
	case "xt":
		m.topic(value)
	case "dn":
		if value != "" && m.Name == "" {
			m.Name = SafeName(value)
		}
	case "tr":
		m.Trackers = appendUnique(m.Trackers, value, MaxTrackers, usable(value, trackerSchemes))
	case "ws":
		m.WebSeeds = appendUnique(m.WebSeeds, value, MaxWebSeeds, usable(value, webSeedSchemes))
	case "x.pe":
		m.Peers = appendUnique(m.Peers, value, MaxPeers, isHostPort(value))
	case "xl":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			m.Length = n
		}
	case "so":
		if strings.Trim(value, "0123456789,-") == "" {
			m.SelectOnly = value
		}
	}
	return nil
}

// topic takes an exact topic in: the first btih and the first btmh count.
func (m *magnetReader) topic(urn string) {
	const v1, v2 = "urn:btih:", "urn:btmh:"
	switch {
	case len(urn) >= len(v1) && strings.EqualFold(urn[:len(v1)], v1):
		h, ok := ParseHash(urn[len(v1):])
		if ok && !m.found {
			m.Hash, m.found = h, true
		}
		m.badHash = m.badHash || !ok
	case len(urn) >= len(v2) && strings.EqualFold(urn[:len(v2)], v2):
		h, ok := ParseMultihash(urn[len(v2):])
		if ok && m.V2 == (wire.Hash{}) {
			m.V2 = h
		}
		m.badV2 = m.badV2 || !ok
	}
}

// sha256Multihash is how a multihash of SHA-256 begins, in hexadecimal: what
// it is, and its 32 bytes.
const sha256Multihash = "1220"

// ParseMultihash reads a v2 infohash as magnet links have it: 1220 and 64
// hexadecimal digits, in any case. Zero is none.
func ParseMultihash(s string) (h wire.Hash, ok bool) {
	if len(s) != len(sha256Multihash)+hex.EncodedLen(len(h)) || s[:len(sha256Multihash)] != sha256Multihash {
		return h, false
	}
	if _, err := hex.Decode(h[:], []byte(s[len(sha256Multihash):])); err != nil {
		return wire.Hash{}, false
	}
	return h, h != wire.Hash{}
}

// ParseHash reads an infohash: 40 hexadecimal or 32 base32 digits, in any case.
func ParseHash(s string) (h wire.Digest, ok bool) {
	var b []byte
	var err error
	switch len(s) {
	case hex.EncodedLen(len(h)):
		b, err = hex.DecodeString(s)
	case base32.StdEncoding.EncodedLen(len(h)):
		b, err = base32.StdEncoding.DecodeString(strings.ToUpper(s))
	default:
		return h, false
	}
	if err != nil || len(b) != len(h) {
		return h, false
	}
	return wire.Digest(b), true
}

// String is the magnet link, with its hashes in hexadecimal. ParseMagnet reads
// the same Magnet from it.
func (m *Magnet) String() string {
	var b strings.Builder
	var topics []string
	if m.ID().HasV1() {
		topics = append(topics, "xt=urn:btih:"+m.Hash.String())
	}
	if m.V2 != (wire.Hash{}) {
		topics = append(topics, "xt=urn:btmh:"+sha256Multihash+m.V2.String())
	}
	b.WriteString("magnet:?" + strings.Join(topics, "&"))
	add := func(key string, values ...string) {
		for _, v := range values {
			if v != "" {
				b.WriteString("&" + key + "=" + strings.ReplaceAll(url.QueryEscape(v), "+", "%20"))
			}
		}
	}
	add("dn", m.Name)
	if m.Length > 0 {
		add("xl", strconv.FormatInt(m.Length, 10))
	}
	add("tr", m.Trackers...)
	add("ws", m.WebSeeds...)
	add("x.pe", m.Peers...)
	add("so", m.SelectOnly)
	return b.String()
}

// appendUnique appends s to list if it is good, new and within the bound.
func appendUnique(list []string, s string, most int, good bool) []string {
	if !good || len(list) == most {
		return list
	}
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}

// isHostPort reports whether s is an address or a host name, and a port that
// can be dialled. IPv6 addresses are in brackets.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !allDigits(port) {
		return false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Is6() == (s[0] == '[')
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
	return s[0] != '[' && host != "" && len(host) <= 253 && strings.Trim(host, letters) == ""
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
