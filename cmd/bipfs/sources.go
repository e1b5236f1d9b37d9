package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"bipfs/engine"
)

// named is a torrent that a person named.
type named struct {
	engine.Source
	listed bool // on stdin, among others
}

// sources reads the SOURCE arguments. One that cannot be used is an error; one
// from the list on stdin is reported and skipped.
func sources(args []string, s streams, log *slog.Logger) ([]named, error) {
	var all []named
	for _, arg := range args {
		if arg == "-" {
			listed, err := sourceList(s.in, log)
			if err != nil {
				return nil, fmt.Errorf("stdin: %w", err)
			}
			all = append(all, listed...)
			continue
		}
		source, err := engine.ParseSource(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, named{Source: source})
	}
	return all, nil
}

// longestLine is the length in bytes of the longest line of a list.
const longestLine = 1 << 20

// lines are SOURCE arguments, with those of the list on stdin in the place of -.
func lines(args []string, stdin io.Reader) (all []string, err error) {
	for _, arg := range args {
		if arg != "-" {
			all = append(all, arg)
			continue
		}
		err = eachLine(stdin, func(line string) { all = append(all, line) })
		if err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
	}
	return all, nil
}

// eachLine calls do for each line of a list that is neither empty nor a comment.
func eachLine(r io.Reader, do func(line string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			do(line)
		}
	}
	return lines.Err()
}

func sourceList(r io.Reader, log *slog.Logger) ([]named, error) {
	var all []named
	err := eachLine(r, func(line string) {
		source, err := engine.ParseSource(line)
		if err != nil {
			log.Error("a torrent of the list is skipped", "err", err)
			return
		}
		all = append(all, named{Source: source, listed: true})
	})
	return all, err
}

// add gives the client its sources. A private torrent under --no-upload, and one that
// is stored and cannot be used, is an error, too, unless it is one of a list.
func add(c *engine.Client, all []named, log *slog.Logger) error {
	for _, s := range all {
		if s.URL != "" {
			if err := c.AddURL(s.URL); err != nil {
				return err
			}
			continue
		}
		_, err := c.Add(s.Source)
		switch {
		case s.listed && (errors.Is(err, engine.ErrNoUpload) || errors.Is(err, engine.ErrLeftAlone)):
			log.Error("a torrent of the list is skipped", "torrent", s.name(), "err", err)
		case err != nil && s.Torrent != nil:
			return fmt.Errorf("%s: %w", s.name(), err)
		case err != nil:
			return err
		}
	}
	return nil
}

// name is what a person calls it.
func (n named) name() string {
	if n.Torrent != nil {
		return n.Torrent.Info.Name
	}
	return n.Magnet.ID().String()
}
