package discovery

import (
	"encoding/binary"
	"net/netip"

	"bipfs/wire/bencode"
)

// Bounds of a KRPC message (BEP 5). One that is over them is dropped.
const (
	MaxKRPC        = 2 << 10 // bytes of a packet that is read
	MaxTransaction = 32      // bytes of a transaction id
	MaxToken       = 128     // bytes of a token
	MaxNodes       = 16      // nodes of one answer that are used, of each family
	MaxValues      = 200     // peers of one answer that are used
	maxErrorText   = 100     // bytes
)

// krpcLimits admit what honest nodes send; extensions that we do not know may
// add to it.
var krpcLimits = bencode.Limits{Depth: 6, Items: 1024, Trailing: true}

// nodeID names a node or a torrent: both are points of one space.
type nodeID [20]byte

// nodeInfo is a node as others know it.
type nodeInfo struct {
	id   nodeID
	addr netip.AddrPort
}

// The methods of BEP 5.
const (
	methodPing     = "ping"
	methodFind     = "find_node"
	methodGet      = "get_peers"
	methodAnnounce = "announce_peer"
)

// krpcMessage is a message of the DHT: what we understand of it.
type krpcMessage struct {
	kind        byte // q, r or e
	transaction string
	id          nodeID         // the sender; zero in an error
	seen        netip.AddrPort // the receiver's address, as the sender sees it (BEP 42)
	readOnly    bool           // the sender answers no queries (BEP 43)

	// Of a query:
	method string
	target nodeID // info_hash or target
	want4  bool   // BEP 32
	want6  bool
	port   int
	ours   bool   // implied_port: the port is the one that the packet comes from
	token  string // of an answer too

	// Of an answer, at most MaxNodes and MaxValues:
	nodes, nodes6 []nodeInfo
	values        []netip.AddrPort

	// Of an error:
	code int64
	text string
}

// parseKRPC reads a message; ok is false if it is none, or not one that BEP 5
// lets be sent. What is odd about a field that may be missing makes it missing.
// A query of a method that we do not know, but that has a target, is taken for
// find_node, as other implementations do.
func parseKRPC(b []byte) (m krpcMessage, ok bool) {
	if len(b) > MaxKRPC {
		return m, false
	}
	n, err := bencode.Validate(b, krpcLimits)
	if err != nil || !bencode.IsDictionary(b[:n]) {
		return m, false
	}
	var a, r, e bencode.Raw
	for key, v := range bencode.Dictionary(b[:n]) {
		text, isText := bencode.String(v)
		switch string(key) {
		case "t":
			if !isText || len(text) > MaxTransaction {
				return m, false
			}
			m.transaction = string(text)
		case "y":
			if len(text) == 1 {
				m.kind = text[0]
			}
		case "q":
			m.method = string(text)
		case "a":
			a = v
		case "r":
			r = v
		case "e":
			e = v
		case "ro":
			one, _ := bencode.Integer(v)
			m.readOnly = one == 1
		case "ip":
			m.seen, _ = compactAddr(text)
		}
	}
	switch m.kind {
	case 'q':
		return m, m.query(a)
	case 'r':
		return m, m.answer(r)
	case 'e':
		return m, m.refusal(e)
	}
	return m, false
}

// query reads the arguments of a query.
func (m *krpcMessage) query(body bencode.Raw) bool {
	hasID, hasTarget := false, false
	for key, v := range bencode.Dictionary(body) {
		text, _ := bencode.String(v)
		number, _ := bencode.Integer(v)
		switch string(key) {
		case "id":
			hasID = m.id.set(text)
		case "target":
			hasTarget = m.target.set(text) || hasTarget
		case "info_hash":
			hasTarget = m.target.set(text) || hasTarget
		case "port":
			m.port = int(min(max(number, 0), 1<<16)) // both ends are no ports
		case "implied_port":
			m.ours = number != 0
		case "token":
			if len(text) > MaxToken {
				return false
			}
			m.token = string(text)
		case "want":
			for family := range bencode.List(v) {
				name, _ := bencode.String(family)
				m.want4 = m.want4 || string(name) == "n4"
				m.want6 = m.want6 || string(name) == "n6"
			}
		}
	}
	switch m.method {
	case methodPing:
		return hasID
	case methodFind, methodGet:
		return hasID && hasTarget
	case methodAnnounce:
		return hasID && hasTarget && (m.ours || m.port > 0 && m.port < 1<<16)
	}
	m.method = methodFind
	return hasID && hasTarget
}

// answer reads the values of an answer.
func (m *krpcMessage) answer(body bencode.Raw) bool {
	hasID := false
	for key, v := range bencode.Dictionary(body) {
		text, isText := bencode.String(v)
		switch string(key) {
		case "id":
			hasID = m.id.set(text)
		case "token":
			if len(text) <= MaxToken {
				m.token = string(text)
			}
		case "nodes":
			m.nodes = compactNodes(text, 4)
		case "nodes6":
			m.nodes6 = compactNodes(text, 16)
		case "values":
			for peer := range bencode.List(v) {
				text, isText = bencode.String(peer)
				if a, ok := compactAddr(text); isText && ok && len(m.values) < MaxValues {
					m.values = append(m.values, a)
				}
			}
		}
	}
	return hasID
}

// refusal reads the list of an error.
func (m *krpcMessage) refusal(body bencode.Raw) bool {
	for v := range bencode.List(body) {
		if n, ok := bencode.Integer(v); ok {
			m.code = n
		}
		if text, ok := bencode.String(v); ok {
			m.text = string(text[:min(len(text), maxErrorText)])
		}
	}
	return bencode.IsList(body)
}

// set takes an id of 20 bytes that is not zero.
func (id *nodeID) set(b []byte) bool {
	if len(b) != len(id) || nodeID(b) == (nodeID{}) {
		return false
	}
	*id = nodeID(b)
	return true
}

// compactAddr is an address of 4 or 16 bytes and a port. One that nobody can be
// at is none.
func compactAddr(b []byte) (a netip.AddrPort, ok bool) {
	if len(b) != 6 && len(b) != 18 {
		return a, false
	}
	ip, _ := netip.AddrFromSlice(b[:len(b)-2])
	a = netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[len(b)-2:]))
	return a, meetable(a)
}

// meetable reports whether a can be the address of a node or a peer.
func meetable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast() &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !(ip.Is4() && ip.As4()[0] == 0)
}

// compactNodes reads nodes whose addresses have n bytes. Those that nobody can
// be at, and addresses of the other family in disguise, are left out.
func compactNodes(b []byte, n int) (nodes []nodeInfo) {
	for size := 20 + n + 2; len(b) >= size && len(nodes) < MaxNodes; b = b[size:] {
		var node nodeInfo
		addr, ok := compactAddr(b[20:size])
		if node.addr = addr; node.id.set(b[:20]) && ok && addr.Addr().Is4() == (n == 4) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// appendKRPC appends m in bencode, keys in order.
func appendKRPC(b []byte, m krpcMessage) []byte {
	b = append(b, 'd')
	switch m.kind {
	case 'q':
		b = m.appendQuery(append(b, "1:a"...))
	case 'e':
		b = append(b, "1:el"...)
		b = bencode.AppendString(bencode.AppendInteger(b, m.code), m.text)
		b = append(b, 'e')
	}
	if m.seen.IsValid() {
		b = appendAddr(append(b, "2:ip"...), m.seen)
	}
	switch m.kind {
	case 'q':
		b = bencode.AppendString(append(b, "1:q"...), m.method)
	case 'r':
		b = m.appendAnswer(append(b, "1:r"...))
	}
	if m.readOnly {
		b = append(b, "2:roi1e"...)
	}
	b = bencode.AppendString(append(b, "1:t"...), m.transaction)
	return append(b, '1', ':', 'y', '1', ':', m.kind, 'e')
}

func (m *krpcMessage) appendQuery(b []byte) []byte {
	b = bencode.AppendString(append(b, "d2:id"...), m.id[:])
	if m.method == methodAnnounce && m.ours {
		b = append(b, "12:implied_porti1e"...)
	}
	if m.method == methodGet || m.method == methodAnnounce {
		b = bencode.AppendString(append(b, "9:info_hash"...), m.target[:])
	}
	if m.method == methodAnnounce {
		b = bencode.AppendInteger(append(b, "4:port"...), int64(m.port))
	}
	if m.method == methodFind {
		b = bencode.AppendString(append(b, "6:target"...), m.target[:])
	}
	if m.method == methodAnnounce {
		b = bencode.AppendString(append(b, "5:token"...), m.token)
	}
	if m.want4 || m.want6 {
		b = append(b, "4:wantl"...)
		if m.want4 {
			b = append(b, "2:n4"...)
		}
		if m.want6 {
			b = append(b, "2:n6"...)
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

func (m *krpcMessage) appendAnswer(b []byte) []byte {
	b = bencode.AppendString(append(b, "d2:id"...), m.id[:])
	for _, family := range []struct {
		name  string
		nodes []nodeInfo
	}{{"5:nodes", m.nodes}, {"6:nodes6", m.nodes6}} {
		if len(family.nodes) > 0 {
			var packed []byte
			for _, n := range family.nodes {
				packed = appendCompact(append(packed, n.id[:]...), n.addr)
			}
			b = bencode.AppendString(append(b, family.name...), packed)
		}
	}
	if m.token != "" {
		b = bencode.AppendString(append(b, "5:token"...), m.token)
	}
	if len(m.values) > 0 {
		b = append(b, "6:valuesl"...)
		for _, a := range m.values {
			b = appendAddr(b, a)
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	return bencode.AppendString(b, appendCompact(nil, a))
}

func appendCompact(b []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(b, a.Addr().AsSlice()...), a.Port())
}
