package discovery

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// bubble is synctest.Test on one processor. Package dht waits for timers of no time,
// for each query one: where two of a bubble end at once on two processors, the race
// detector of Go 1.26 crashes, as they share one of its contexts (runtime/time.go,
// maybeRunChan).
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, test)
}
