package engine

import (
	"fmt"
	"slices"
)

// mostURLs is how many URLs are remembered while they are not fetched.
const mostURLs = 1000

// AddURL fetches the .torrent at a URL in the background and adds it. What goes
// wrong is logged. Until one or the other it is in the data folder: the next start
// goes on with it.
func (c *Client) AddURL(url string) error {
	c.adding.Lock()
	defer c.adding.Unlock()
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	if slices.Contains(state.URLs, url) {
		return nil // it is being fetched
	}
	if len(state.URLs) == mostURLs {
		return fmt.Errorf("%d URLs are being fetched already", mostURLs)
	}
	state.URLs = append(slices.Clip(state.URLs), url)
	if err := c.rememberURLs(state); err != nil {
		return err
	}
	c.fetchURL(url)
	return nil
}

// rememberURLs stores those that are to be fetched. Client.adding is held.
func (c *Client) rememberURLs(state clientState) error {
	if err := c.folder.saveClient(state); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.URLs = state.URLs
	return nil
}

func (c *Client) fetchURL(url string) {
	c.spawn(func() {
		s, err := c.FetchSource(c.ctx, Source{URL: url})
		if err == nil {
			_, err = c.Add(s)
		}
		if err != nil && c.ctx.Err() != nil {
			return
		}
		if err != nil {
			c.log.Error("a torrent is skipped", "err", err)
		}
		c.forgetURL(url)
	})
}

func (c *Client) forgetURL(url string) {
	c.adding.Lock()
	defer c.adding.Unlock()
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	state.URLs = slices.DeleteFunc(slices.Clone(state.URLs), func(u string) bool { return u == url })
	if err := c.rememberURLs(state); err != nil {
		c.log.Warn("a URL will be fetched once more at the next start", "err", err)
	}
}
