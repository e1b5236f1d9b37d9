package top

import (
	"math"

	tea "charm.land/bubbletea/v2"
)

// far is further than any list is long.
const far = math.MaxInt32 / 2

// key does what a key says. Those that mean nothing are not minded.
func (m *model) key(key string) tea.Cmd {
	m.note = ""
	switch key {
	case "q", "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "up", "k":
		m.step(-1)
	case "down", "j":
		m.step(1)
	case "pgup", "ctrl+b":
		m.step(-m.body())
	case "pgdown", "ctrl+f", "space":
		m.step(m.body())
	case "home", "g":
		m.step(-far)
	case "end", "G":
		m.step(far)
	case "enter", "right", "l":
		if m.torrent == "" && m.at != "" {
			m.torrent, m.peers = m.at, map[string]*traffic{}
			return m.soon()
		}
	case "esc", "left", "h", "backspace":
		if m.torrent != "" {
			m.close()
			return m.soon()
		}
	case "s":
		if m.torrent == "" {
			m.sorting = (m.sorting + 1) % sortings
			m.sort()
		}
	}
	return nil
}

// step moves the choice in the list, or what is seen of a torrent.
func (m *model) step(by int) {
	if m.torrent == "" {
		m.move(by)
		return
	}
	m.scroll = max(0, min(m.scroll+by, len(m.torrentLines())-m.body()))
}
