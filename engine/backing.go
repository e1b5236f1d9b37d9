package engine

import "bipfs/diskcache"

// Backing lends the plain file that this one is stored in, if all of it is here
// and known to be right: the kernel may read it by itself until its Close.
func (r *Reader) Backing() (*diskcache.Lent, bool) { return r.store.Lend(r.number) }
