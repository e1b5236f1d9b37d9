package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// Lines of a frame that are not its body: the title, the totals, the head of the
// columns, and the keys.
const (
	aroundList    = 4
	aroundTorrent = 2
)

// body is how many lines there are for what is looked at.
func (m *model) body() int {
	if m.torrent != "" {
		return max(1, m.height-aroundTorrent)
	}
	return max(1, m.height-aroundList)
}

// View is the frame, for bubbletea.
func (m *model) View() tea.View {
	v := tea.NewView(m.text())
	v.AltScreen = true
	return v
}

// text is the frame: height lines at most, of at most width columns.
func (m *model) text() string {
	var lines []line
	if m.torrent != "" {
		lines = m.torrentFrame()
	} else {
		lines = m.listFrame()
	}
	lines = append(lines[:min(len(lines), max(0, m.height-1))], m.foot())
	var b strings.Builder
	for i, l := range lines[:min(len(lines), m.height)] {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l.render(m.width, m.ink))
	}
	return b.String()
}

// foot is the last line: what is wrong, or has happened, or else the keys.
func (m *model) foot() line {
	switch {
	case m.silent != nil:
		return line{{m.silent.Error(), wrong}}
	case m.note != "":
		return line{{m.note, pending}}
	case m.still:
		return nil
	case m.torrent != "":
		return line{{"q: quit  Esc: all torrents  arrows: scroll", faint}}
	}
	return line{{fmt.Sprintf("q: quit  Enter: look into it  s: sort (%s)  arrows: move", m.sorting), faint}}
}

// fill has the lines be as many as the body is long, so that the foot stays below.
func (m *model) fill(lines []line, n int) []line {
	for !m.still && len(lines) < n {
		lines = append(lines, nil)
	}
	return lines
}
