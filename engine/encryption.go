package engine

import "bipfs/handshake"

// Encryption is the policy on encrypted handshakes of peers, in and out.
type Encryption = handshake.Encryption

// The policies.
const (
	PreferEncryption  = handshake.Prefer  // dial with it first, accept both
	RequireEncryption = handshake.Require // all that is sent is encrypted; plain peers are refused
	NoEncryption      = handshake.Off
)

// find is the torrent that a peer means in an encrypted handshake.
func (c *Client) find(name [20]byte) (infohash [20]byte, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	infohash, known = c.hidden[name]
	return infohash, known
}
