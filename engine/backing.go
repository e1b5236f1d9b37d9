package engine

import "bipfs/diskcache"

// Backing lends the plain file that this one is stored in, if all of it is here
// and known to be right: the kernel may read it by itself until its Close.
func (r *Reader) Backing() (*diskcache.Lent, bool) { return r.store.Lend(r.number) }

// Hold is Backing of a file that the kernel reads by itself since an earlier process.
func (r *Reader) Hold() (*diskcache.Lent, bool) { return r.store.Hold(r.number) }

// Settle says that every file that an earlier process had lent is held (Config.Lent):
// the store may give way from now on. It is called once.
func (c *Client) Settle() {
	c.buried = nil
	c.disk.Settle()
}
