package engine

import (
	"context"
	"net/url"
	"time"

	"bipfs/engine/discovery"
)

// Torrents that wait for a place to seed do not announce themselves, so nobody
// says how many others seed them. Their trackers are asked (BEP 48), a few
// torrents in one request, and those that the fewest seed come first. Private
// trackers are never asked: some count it as cheating.

const (
	// scrapeEvery is how often the trackers of those that wait are asked.
	scrapeEvery = time.Hour
	// mostScrapes is how many trackers are asked at a time, one after the other.
	mostScrapes = 20
	// scrapeTime is how long one may take: who seeds is not looked at meanwhile.
	scrapeTime = 5 * time.Second
)

// scrapeWaiting asks for the swarms of the torrents that wait, if it is due.
func (c *Client) scrapeWaiting(waiting []seed) {
	now := time.Now()
	if len(waiting) == 0 || now.Before(c.scrapeAt) {
		return
	}
	c.scrapeAt = now.Add(scrapeEvery)
	for _, s := range scrapes(waiting) {
		ctx, cancel := context.WithTimeout(c.ctx, scrapeTime)
		swarms, err := c.scrape(ctx, s.tracker, s.of)
		cancel()
		if err != nil {
			c.log.Debug("a scrape failed", "err", discovery.ShownError(err, s.tracker))
			continue
		}
		for i, t := range s.of {
			t.seenSeeders(swarms[i].Seeders)
		}
	}
}

// scraping is one request: a tracker, and the torrents to ask it for.
type scraping struct {
	tracker string
	of      []*Torrent
}

// scrapes are the requests for torrents that wait: each of its first tracker.
func scrapes(waiting []seed) (all []scraping) {
	open := map[string]int{} // by tracker, the request that has room
	for _, s := range waiting {
		s.t.mu.Lock()
		tiers := s.t.trackers
		s.t.mu.Unlock()
		if s.private || len(tiers) == 0 || len(tiers[0]) == 0 {
			continue
		}
		tracker := tiers[0][0]
		i, ok := open[tracker]
		if !ok || len(all[i].of) == discovery.MaxScrape {
			if len(all) == mostScrapes {
				continue
			}
			i = len(all)
			all = append(all, scraping{tracker: tracker})
			open[tracker] = i
		}
		all[i].of = append(all[i].of, s.t)
	}
	return all
}

// scrape asks one tracker, the first way that answers.
func (c *Client) scrape(ctx context.Context, tracker string, of []*Torrent) (swarms []discovery.Swarm, err error) {
	var hashes [][20]byte
	for _, t := range of {
		hashes = append(hashes, t.hash)
	}
	u, err := url.Parse(tracker)
	if err != nil {
		return nil, err
	}
	for _, way := range c.ways {
		if u.Scheme == "udp" && way.UDP != nil {
			swarms, err = way.UDP.Scrape(ctx, tracker, hashes)
		} else {
			swarms, err = way.HTTP.Scrape(ctx, tracker, hashes)
		}
		if err == nil {
			return swarms, nil
		}
	}
	return nil, err
}
