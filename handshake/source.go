package handshake

// Source says who named an address. A lower one is dialled first.
type Source uint8

// The sources of addresses.
const (
	User      Source = iota // named by the user
	Tracker                 // named by a tracker (BEP 3)
	Magnet                  // named by a magnet link (x.pe, BEP 9)
	LSD                     // announced itself to a network that we are in (BEP 14)
	DHT                     // found in the DHT (BEP 5)
	PEX                     // named by another peer (BEP 11)
	Holepunch               // dials us at the same moment, by the word of another peer (BEP 55)
	Incoming                // not dialled: it connected to us
)

// String is the source's name in logs.
func (s Source) String() string {
	switch s {
	case User:
		return "user"
	case Tracker:
		return "tracker"
	case Magnet:
		return "magnet"
	case LSD:
		return "LSD"
	case DHT:
		return "DHT"
	case PEX:
		return "pex"
	case Holepunch:
		return "holepunch"
	}
	return "incoming"
}
