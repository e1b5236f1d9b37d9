package swarm

import (
	"encoding/binary"
	"net"
	"time"
)

// Of the head of a uTP packet (BEP 29).
const (
	utpHead  = 20
	utpReset = 3<<4 | 1 // type and version
	utpSyn   = 4<<4 | 1
)

// refuseUTP answers each uTP connect with a reset, after a round trip, so that
// clients need not wait for nobody before they try TCP.
func (e *seeder) refuseUTP() error {
	address, err := net.ResolveUDPAddr("udp4", e.Address)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp4", address)
	if err != nil {
		return err
	}
	e.swarm.doors = append(e.swarm.doors, socket)
	e.swarm.wg.Go(func() {
		var b [2048]byte
		for {
			n, from, err := socket.ReadFromUDPAddrPort(b[:])
			if err != nil {
				return
			}
			if n < utpHead || b[0] != utpSyn {
				continue
			}
			answer := make([]byte, utpHead)
			answer[0] = utpReset
			copy(answer[2:4], b[2:4]) // the connection
			binary.BigEndian.PutUint32(answer[4:], uint32(time.Now().UnixMicro()))
			copy(answer[18:20], b[16:18]) // acknowledges their sequence number
			e.swarm.wg.Go(func() {
				if e.swarm.sleep(time.Now().Add(2 * e.Delay)) {
					_, _ = socket.WriteToUDPAddrPort(answer, from)
				}
			})
		}
	})
	return nil
}
