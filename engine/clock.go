package engine

import "time"

// clock is the time of the pure parts: the monotonic time since the client
// was opened.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }
