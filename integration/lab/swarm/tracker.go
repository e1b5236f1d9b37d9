package swarm

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"bipfs/wire/bencode"
)

// track answers announces with the addresses of all seeders, over a line of its
// own: to connect to it and to ask it takes two round trips.
func (s *swarm) track(p Plan) error {
	if p.Tracker == "" {
		return nil
	}
	var peers []byte
	for _, one := range p.Seeders {
		at, err := netip.ParseAddrPort(one.Address)
		if err != nil {
			return err
		}
		ip := at.Addr().As4()
		peers = append(append(peers, ip[:]...), byte(at.Port()>>8), byte(at.Port()))
	}
	answer := bencode.AppendInteger([]byte("d8:interval"), 1800)
	answer = append(bencode.AppendString(append(answer, "5:peers"...), string(peers)), 'e')
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/announce") {
				http.NotFound(w, r)
				return
			}
			w.Write(answer)
		}),
	}
	l, err := net.Listen("tcp4", p.Tracker)
	if err != nil {
		return err
	}
	s.doors = append(s.doors, server)
	s.wg.Go(func() {
		if err := server.Serve(lined{l, s, p.TrackerDelay}); !errors.Is(err, http.ErrServerClosed) && s.ctx.Err() == nil {
			panic(err) // nobody could say why there are no peers
		}
	})
	return nil
}

// lined is a listener whose connections are lines.
type lined struct {
	net.Listener
	s     *swarm
	delay time.Duration
}

func (l lined) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.delay == 0 {
		return c, err
	}
	return newLine(l.s, c, l.delay, 0, nil), nil
}
