package engine

import (
	"context"
	"sync"
	"time"
)

// Close ends everything: announces `stopped` where `started` was said, closes
// every connection, writes what the time of ctx allows, and gives the folder
// back. It returns when every goroutine of the client has ended; those that a
// frozen disk does not let go are given up at the end of ctx.
func (c *Client) Close(ctx context.Context) {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return
	}
	c.cancel() // every loop ends, and then says `stopped`
	c.life.Lock()
	c.ended = true
	c.life.Unlock()
	if c.disk != nil {
		s := c.disk.Stats()
		c.log.Info("disk cache", "hits", s.Hits, "misses", s.Misses, "cached", s.Cached, "dirty", s.Dirty, "hashed", s.Hashed)
	}
	if c.dht != nil {
		c.log.Info("DHT", "nodes", c.dht.Nodes())
	}
	if !c.join(ctx) {
		c.log.Warn("the data folder does not answer; what was being written to it is given up")
	}
	if c.disk != nil {
		// What could not be written is fetched again when it is needed: a
		// store that is full or frozen is weather, and no failure of the stop.
		if err := c.disk.Close(ctx); err != nil {
			c.log.Warn("the disk cache is closed early", "err", err)
		}
	}
	c.partGuests(ctx)
	c.folder.close()
}

// join waits until every goroutine has ended, or ctx. The trackers get their
// share of the time.
func (c *Client) join(ctx context.Context) bool {
	defer c.silence()
	defer c.hush()
	joined := make(chan struct{})
	var joining sync.WaitGroup
	joining.Go(func() {
		if c.hand != nil {
			c.hand.Close()
		}
		if c.dht != nil {
			c.dht.Close()
		}
		c.leaveUDP()
		c.wg.Wait()
		close(joined)
	})
	select {
	case <-joined:
	case <-time.After(stoppedAnnounces):
		c.silence()
		if !c.joinPrivate(ctx, joined) {
			return false
		}
	}
	joining.Wait()
	return true
}

// joinPrivate is join for those that only the trackers of private torrents hold
// up.
func (c *Client) joinPrivate(ctx context.Context, joined <-chan struct{}) bool {
	select {
	case <-joined:
		return true
	case <-time.After(lastWords - stoppedAnnounces):
		c.hush()
	}
	select {
	case <-joined:
		return true
	case <-ctx.Done():
		return false
	}
}
