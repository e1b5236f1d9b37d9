package engine

import (
	"context"
	"errors"
	"fmt"
)

// Answers asks the loop of every torrent that is awake for an answer, and returns when
// all have given it, or ctx ends.
func (c *Client) Answers(ctx context.Context) error {
	for _, t := range c.Torrents() {
		l := t.running()
		if l == nil {
			continue
		}
		if err := l.answers(ctx); err != nil {
			return fmt.Errorf("the torrent %v does not answer: %w", t.id, err)
		}
	}
	return nil
}

func (l *loop) answers(ctx context.Context) error {
	answer := make(chan struct{})
	if err := l.put(ctx, order(func(*loop) { close(answer) })); err != nil {
		if errors.Is(err, ErrClosed) {
			return nil // it has gone dormant meanwhile
		}
		return err
	}
	select {
	case <-answer:
	case <-l.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
