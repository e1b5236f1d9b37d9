package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"bipfs/engine/discovery"
)

// blocklistTime is how long fetching a block list may take.
const blocklistTime = 30 * time.Second

// LoadBlocklist reads the block list of the configuration, again if it was
// read before, and ends the connections that it forbids. A list that is fetched
// is kept in the data folder: while its URL cannot be reached the kept one
// holds. Without any, that is an error: nobody is to be met by mistake.
func (c *Client) LoadBlocklist(ctx context.Context) error {
	if c.cfg.Blocklist == "" {
		return nil
	}
	list, err := c.readBlocklist(ctx)
	if err != nil {
		if isURL(c.cfg.Blocklist) {
			return fmt.Errorf("--blocklist %s/…: %w", discovery.Shown(c.cfg.Blocklist), discovery.ShownError(err, c.cfg.Blocklist))
		}
		return fmt.Errorf("--blocklist %s: %w", c.cfg.Blocklist, err)
	}
	if list.Skipped() > 0 {
		c.log.Warn("some lines of the block list say nothing", "lines", list.Skipped(), "ranges", list.Len())
	}
	c.net.Block(list)
	if c.hand != nil {
		c.hand.Sweep()
		c.meetAgain()
	}
	return nil
}

// meetAgain names the peers that nobody else will name again: the list may have had them.
func (c *Client) meetAgain() {
	for _, t := range c.Torrents() {
		if l := t.running(); l != nil {
			l.put(c.ctx, order(func(l *loop) {
				if l.searching && !l.ending {
					l.offerNamed()
				}
			}))
		}
	}
}

func (c *Client) readBlocklist(ctx context.Context) (*Blocklist, error) {
	if !isURL(c.cfg.Blocklist) {
		f, err := os.Open(c.cfg.Blocklist)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return ParseBlocklist(f)
	}
	raw, err := c.fetchBlocklist(ctx)
	if err == nil {
		var list *Blocklist
		if list, err = ParseBlocklist(bytes.NewReader(raw)); err == nil {
			if err := c.folder.saveBlocklist(raw); err != nil {
				c.log.Warn("the block list cannot be kept", "err", err)
			}
			return list, nil
		}
	}
	f, kept := os.Open(c.folder.blocklist())
	if kept != nil {
		return nil, err
	}
	defer f.Close()
	c.log.Warn("the block list cannot be fetched: the kept one holds", "err", discovery.ShownError(err, c.cfg.Blocklist))
	return ParseBlocklist(f)
}

// isURL reports whether a list is to be fetched.
func isURL(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

func (c *Client) fetchBlocklist(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, blocklistTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Blocklist, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	res, err := c.net.HTTPClient(ForTorrent).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", res.Status)
	}
	return ReadBounded(res.Body, MaxBlocklist)
}
