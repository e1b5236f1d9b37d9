package discovery

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// The routing table as it is kept over restarts.
const (
	stateVersion = 1
	// MaxState is the longest state that is read, in bytes.
	MaxState = 256 << 10
	// maxSaved is how many nodes are saved, of each family.
	maxSaved = 300
)

// dhtState is what a DHT knew when it was saved.
type dhtState struct {
	id4, id6 nodeID // our own; zero if there was none
	nodes    []nodeInfo
}

type savedNode struct {
	ID   string         `json:"id"`
	Addr netip.AddrPort `json:"addr"`
}

type savedState struct {
	Version int         `json:"version"`
	ID4     string      `json:"id4,omitempty"`
	ID6     string      `json:"id6,omitempty"`
	Nodes   []savedNode `json:"nodes"`
}

func (s dhtState) encode() []byte {
	out := savedState{Version: stateVersion, ID4: hex.EncodeToString(s.id4[:]), ID6: hex.EncodeToString(s.id6[:])}
	for _, n := range s.nodes {
		out.Nodes = append(out.Nodes, savedNode{hex.EncodeToString(n.id[:]), n.addr})
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // of strings and addresses
	}
	return append(b, '\n')
}

// parseState reads what encode wrote. Nodes that cannot be are left out.
func parseState(b []byte) (s dhtState, err error) {
	if len(b) > MaxState {
		return s, fmt.Errorf("it is longer than %d bytes", MaxState)
	}
	var in savedState
	if err := json.Unmarshal(b, &in); err != nil {
		return s, err
	}
	if in.Version != stateVersion {
		return s, fmt.Errorf("it is of version %d", in.Version)
	}
	var ok4, ok6 bool
	s.id4, ok4 = hexID(in.ID4)
	s.id6, ok6 = hexID(in.ID6)
	if !ok4 || !ok6 {
		return dhtState{}, errors.New("its ids are no ids")
	}
	for _, n := range in.Nodes[:min(len(in.Nodes), 2*maxSaved)] {
		id, ok := hexID(n.ID)
		addr := netip.AddrPortFrom(n.Addr.Addr().Unmap().WithZone(""), n.Addr.Port())
		if ok && id != (nodeID{}) && meetable(addr) {
			s.nodes = append(s.nodes, nodeInfo{id, addr})
		}
	}
	return s, nil
}

// hexID is an id in hexadecimal; none at all is zero.
func hexID(text string) (id nodeID, ok bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 0 && len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}
