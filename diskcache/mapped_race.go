//go:build race

package diskcache

// The race detector sees only the Go heap, so that is where blocks live here.
const racing = true

func mapRegion(n int) ([]byte, error) { return make([]byte, n), nil }

func populate([]byte) {}

func forget([]byte) {}

func unmapRegion([]byte) {}
