package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Words in the stream of events that are about the stream itself; they have the
// number of the event before, if any.
const (
	// Gap says that Missed events before the next one are not known any more.
	Gap = "gap"
	// Dropped says that who reads is too slow, and ends the stream.
	Dropped = "dropped"
)

// stream is one reader of events.
//
//	since ──▶ ring ──▶ lines ──▶ caught up ─┬─▶ the end
//	            ▲                           └─follow─▶ wait for more ─┐
//	            └─────────────────────────────────────────────────────┘
//
// It asks for what it has not sent; nobody sends to it. So a slow one holds up
// nobody: the ring goes on without it, and it is told so.
type stream struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	since uint64
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	follow, err := boolean(r, "follow")
	since := uint64(0)
	if v := r.URL.Query().Get("since"); err == nil && v != "" {
		if since, err = strconv.ParseUint(v, 10, 64); err != nil {
			err = fmt.Errorf("%w: since is not a number", ErrBad)
		}
	}
	if err != nil {
		s.answer(w, nil, err)
		return
	}
	out := &stream{w, http.NewResponseController(w), since}
	w.Header().Set("Content-Type", "application/x-ndjson")
	for first := true; ; first = false {
		events, missed, more := s.d.Events(out.since)
		if missed > 0 && !first {
			out.line(Event{Seq: out.since, Time: time.Now(), Event: Dropped, Missed: missed, Error: "you read too slowly: go on from the number of the last event"})
			return
		}
		if err := out.write(events, missed); err != nil || !follow {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *stream) write(events []Event, missed uint64) error {
	if missed > 0 {
		if err := s.line(Event{Seq: s.since, Time: time.Now(), Event: Gap, Missed: missed}); err != nil {
			return err
		}
	}
	for _, e := range events {
		if err := s.line(e); err != nil {
			return err
		}
		s.since = e.Seq
	}
	return s.c.Flush()
}

func (s *stream) line(e Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // our own struct
	}
	if err := s.c.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err = s.w.Write(append(b, '\n'))
	return err
}
