package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bipfs/wire/bencode"
)

// ErrNoScrape is the error of a tracker whose URL says that it cannot be
// scraped: the last part of its path does not begin with "announce" (BEP 48).
var ErrNoScrape = errors.New("the tracker cannot be scraped")

// Scrape asks for the state of up to MaxScrape torrents, AnnounceTime at most,
// and gives them in the same order; one that the tracker does not name is zero.
// An error never contains the URL.
func (t HTTP) Scrape(ctx context.Context, tracker string, infohashes [][20]byte) ([]Swarm, error) {
	if len(infohashes) > MaxScrape {
		return nil, fmt.Errorf("%d torrents are more than the %d of a scrape", len(infohashes), MaxScrape)
	}
	u, err := scrapeURL(tracker, infohashes)
	if err != nil {
		return nil, err
	}
	body, _, err := t.get(ctx, u)
	if err != nil {
		return nil, err
	}
	return parseScrape(body, infohashes)
}

// scrapeURL is the URL that asks the tracker at tracker for a scrape.
func scrapeURL(tracker string, infohashes [][20]byte) (string, error) {
	u, err := checkURL(tracker)
	if err == nil && u.Scheme == "udp" {
		err = ErrScheme
	}
	if err != nil {
		return "", err
	}
	path := u.EscapedPath()
	last := strings.LastIndexByte(path, '/') + 1
	rest, ok := strings.CutPrefix(path[last:], "announce")
	if !ok {
		return "", ErrNoScrape
	}
	// The path in its escapes, as the tracker wrote it.
	u.Path, u.RawPath, u.Fragment, u.RawFragment = "", "", "", ""
	query := u.RawQuery
	u.RawQuery = ""
	b := append([]byte(u.String()), path[:last]+"scrape"+rest+"?"...)
	if query != "" {
		b = append(append(b, query...), '&')
	}
	for i, h := range infohashes {
		if i > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(append(b, "info_hash="...), h[:])
	}
	return string(b), nil
}

// parseScrape reads the body of an answer (BEP 48). A *Failure is the tracker's
// own refusal.
func parseScrape(body []byte, infohashes [][20]byte) ([]Swarm, error) {
	n, err := bencode.Validate(body, answerLimits)
	if err != nil || !bencode.IsDictionary(body[:n]) {
		return nil, fmt.Errorf("%w: it is not a bencoded dictionary", ErrNotTracker)
	}
	all := make([]Swarm, len(infohashes))
	found := false
	for key, v := range bencode.Dictionary(body[:n]) {
		switch string(key) {
		case "failure reason":
			text, _ := bencode.String(v)
			return nil, &Failure{forPeople(string(text))}
		case "files":
			found = bencode.IsDictionary(v)
			for h, file := range bencode.Dictionary(v) {
				for i := range infohashes {
					if string(h) == string(infohashes[i][:]) {
						all[i] = scraped(file)
					}
				}
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: it has no files", ErrNotTracker)
	}
	return all, nil
}

// scraped reads the figures of one torrent.
func scraped(file bencode.Raw) (s Swarm) {
	for key, v := range bencode.Dictionary(file) {
		n, _ := bencode.Integer(v)
		switch string(key) {
		case "complete":
			s.Seeders = count(n)
		case "downloaded":
			s.Completed = count(n)
		case "incomplete":
			s.Leechers = count(n)
		}
	}
	return s
}
