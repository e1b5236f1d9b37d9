package diskcache

import (
	"errors"
	"os"
	"time"

	"bipfs/wire"
)

// Tenant is a torrent that has a journal and is not open.
type Tenant struct {
	Used time.Time   // when it was read last
	Kept func() bool // as that of its Spec
	Spec func() Spec
	Open func() (*Torrent, error) // has it Added
}

// tenantsAge is how long it is believed which torrents are not open: to ask takes a
// look at the folder of each.
const tenantsAge = 10 * time.Second

// tenants are the torrents that are not open. The caller holds bound.turn.
func (d *Disk) tenants() []Tenant {
	b := &d.bound
	b.mu.Lock()
	ask := b.ask
	b.mu.Unlock()
	if ask != nil && (b.at == 0 || d.now()-b.at > tenantsAge) {
		b.known, b.at = ask(), max(1, d.now())
	}
	return b.known
}

// survey finds out how much the torrents have stored that are not open.
func (d *Disk) survey() {
	b := &d.bound
	b.turn.Lock()
	tenants := d.tenants()
	b.turn.Unlock()
	for _, x := range tenants {
		s := x.Spec()
		n, err := d.measure(s)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			d.log.Warn("it is not known how much a torrent has stored, until it is read", "dir", s.Dir, "err", err)
		}
		b.mu.Lock()
		if _, known := b.asleep[s.Dir]; !known && !b.entered[s.Dir] && n > 0 {
			b.asleep[s.Dir] = sleeper{bytes: n}
			b.used += n
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	b.entered = nil
	b.surveyed.Store(true)
	b.mu.Unlock()
	d.writer.look()
}

// measure is how much the journal says that a torrent has stored.
func (d *Disk) measure(s Spec) (n int64, err error) {
	t, err := d.newTorrent(s)
	if err != nil {
		return 0, err
	}
	f, err := d.files.openFile(t.journal.name, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b := make([]byte, journalHeader)
	k, err := readFull(f, b, 0)
	if err == nil {
		err = t.journal.checkHeader(b[:k])
	}
	have := wire.NewBitfield(t.spec.Pieces())
	if err == nil {
		err = t.journal.scan(f, have)
	}
	return t.costOf(have), err
}

// Deleted tells that the folder of a torrent that is not open is no more: what it
// had stored counts no longer.
func (d *Disk) Deleted(dir string) {
	b := &d.bound
	b.mu.Lock()
	b.used -= b.asleep[dir].bytes
	delete(b.asleep, dir)
	b.mu.Unlock()
	d.writer.look()
}
