package top

import (
	"fmt"

	"bipfs/cmd/bipfs/figure"
	"bipfs/engine/control"
)

// torrentFrame is the torrent that is open: as much of it as the screen shows.
func (m *model) torrentFrame() []line {
	lines := m.torrentLines()
	from := max(0, min(m.scroll, len(lines)-m.body()))
	lines = append([]line{m.title()}, lines[from:min(len(lines), from+m.body())]...)
	return m.fill(lines, m.height-1)
}

// torrentLines are all that is known of it.
func (m *model) torrentLines() []line {
	v := m.detail
	if v == nil {
		return []line{{{"…", faint}}}
	}
	r := m.rows[v.Infohash]
	lines := []line{
		{{r.Name, bold}},
		{{state(v.State, v.Paused, v.Pinned), usual}, {"  here ", usual}, {figure.Share(v.Here, v.Length), good}, {fmt.Sprintf(", %s of %s in %s", figure.Bytes(v.Here), figure.Bytes(v.Length), count(v.Files, "file", "files")), usual}},
		{{"down ", usual}, {figure.Bytes(r.down.rate()) + "/s", good}, limit(v.DownLimit), {"  up ", usual}, {figure.Bytes(r.up.rate()) + "/s", good}, limit(v.UpLimit),
			{fmt.Sprintf("  %s of %d known", count(v.Peers, "peer", "peers"), v.Known), usual}},
	}
	if v.Error != "" {
		lines = append(lines, line{{v.Error, wrong}})
	}
	lines = append(lines, nil)
	lines = append(lines, m.mapLines()...)
	lines = append(lines, nil)
	lines = append(lines, m.readerLines()...)
	lines = append(lines, nil)
	return append(lines, m.peerLines()...)
}

// Columns of readers and of peers. The file, and the client, have the rest.
var (
	readerColumns = []column{{"READER", 16, 0, false}, {"WHERE", 19, 1, true}, {"AHEAD", 12, 2, true}}
	peerColumns   = []column{{"PEER", 22, 0, false}, {"DOWN", 12, 1, true}, {"UP", 12, 4, true}, {"HAS", 5, 3, true}, {"FLAGS", len(letters), 2, false}}
)

// leastRest is the room that they leave.
const leastRest = 12

// readerLines are the places at which it is read.
func (m *model) readerLines() []line {
	if len(m.detail.readers) == 0 {
		return []line{{{"nobody reads it", faint}}}
	}
	t := fitting(readerColumns, m.width, leastRest)
	lines := []line{{{t.head() + "  FILE", bold}}}
	for _, o := range m.detail.readers {
		program := o.Program
		if program == "" {
			program = "-"
		}
		lines = append(lines, line{{t.join([]string{
			program, figure.Share(o.Offset, o.Length) + " of " + figure.Bytes(o.Length), count(max(0, o.Until-o.Piece), "piece", "pieces"),
		}) + "  " + o.File, usual}})
	}
	return lines
}

// peerLines are who is connected, who brings most first.
func (m *model) peerLines() []line {
	all := m.detail.peers
	if len(all) == 0 {
		return []line{{{"no peers", faint}}}
	}
	t := fitting(peerColumns, m.width, leastRest)
	lines := []line{{{t.head() + "  CLIENT", bold}}}
	for _, p := range all[:min(len(all), mostPeers)] {
		of := m.peers[peerKey(p)]
		lines = append(lines, line{{t.join([]string{
			p.Address, speed(of.down.rate()), speed(of.up.rate()), figure.Share(int64(p.Pieces), int64(m.detail.Pieces)), flags(p),
		}) + "  " + p.Client, usual}})
	}
	if more := len(all) - mostPeers; more > 0 {
		lines = append(lines, line{{fmt.Sprintf("and %s more", count(more, "peer", "peers")), faint}})
	}
	for _, l := range flow(legend, m.width) {
		lines = append(lines, line{{l, faint}})
	}
	return lines
}

var legend = []string{"E encrypted", "U uTP", "W web seed", "c chokes us", "C is choked", "I is interested", "S owes blocks"}

// flags are what is to be known of a peer, a letter each, as the legend says.
func flags(p control.Peer) string {
	b := []byte("-------")
	for i, is := range [len(letters)]bool{p.Encrypted, p.Transport == "utp", p.Kind == "web seed", p.Chokes, p.Choked, p.Interested, p.Snubbed} {
		if is {
			b[i] = letters[i]
		}
	}
	return string(b)
}

const letters = "EUWcCIS"
