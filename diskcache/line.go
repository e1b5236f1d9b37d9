package diskcache

import "sync"

// line is a queue of work for a few goroutines. Pushing never waits; what
// bounds its length is the memory that each piece of work holds, or the slots
// of those who ask.
type line[T any] struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []T
	closed bool
}

func newLine[T any]() *line[T] {
	l := &line[T]{}
	l.more.L = &l.mu
	return l
}

func (l *line[T]) push(x T) {
	l.mu.Lock()
	l.queue = append(l.queue, x)
	l.mu.Unlock()
	l.more.Signal()
}

// pop waits for work. After close it returns what is left, then false.
func (l *line[T]) pop() (x T, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 {
		if l.closed {
			return x, false
		}
		l.more.Wait()
	}
	x = l.queue[0]
	var zero T
	l.queue[0] = zero
	l.queue = l.queue[1:]
	if len(l.queue) == 0 {
		l.queue = nil // else the array would only grow
	}
	return x, true
}

func (l *line[T]) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.more.Broadcast()
}
