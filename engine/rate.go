package engine

import (
	"math"
	"time"

	"bipfs/wire"
)

// bucket is a rate, and what may be used of it now: the bytes that it lets by run in
// all the time, and what does not fit is lost. It is pure.
type bucket struct {
	rate  int64         // bytes a second; 0: as many as there are
	level int64         // less than 0 is a debt
	at    time.Duration // when that was so
}

// What a bucket holds: so much of its time, and leastBucket bytes at least.
const (
	bucketTime  = 200 * time.Millisecond
	leastBucket = 2 * wire.BlockSize
)

// unlimited is what a bucket without a rate lets by.
const unlimited = math.MaxInt64 / 4

// size is the most that there is at a time, bytes.
func (b *bucket) size() int64 { return max(leastBucket, b.rate/int64(time.Second/bucketTime)) }

// set changes the rate. It begins as it was, but with no more than it holds.
func (b *bucket) set(rate int64, now time.Duration) {
	if b.rate == 0 {
		b.level = 0
	}
	b.fill(now)
	b.rate, b.at = rate, now
	b.level = min(b.level, b.size())
}

// fill lets run in what is due.
func (b *bucket) fill(now time.Duration) {
	if b.rate == 0 || now <= b.at {
		return
	}
	// What is longer than it takes to fill is lost; so nothing here overflows.
	lost := time.Duration(float64(b.size()-b.level) / float64(b.rate) * float64(time.Second))
	if now-b.at > lost {
		b.level, b.at = b.size(), now
		return
	}
	n := int64(float64(b.rate) * (now - b.at).Seconds())
	b.level += n
	b.at += time.Duration(float64(n) / float64(b.rate) * float64(time.Second)) // the rest of a byte runs in later
}

// left is how many bytes may be used.
func (b *bucket) left() int64 {
	if b.rate == 0 {
		return unlimited
	}
	return b.level
}

// spare is how many of them may be used for what nobody waits for: a read that begins
// to wait finds half of what the bucket holds.
func (b *bucket) spare() int64 {
	if b.rate == 0 {
		return unlimited
	}
	return b.level - b.size()/2
}

// use takes n bytes, which may be more than are left by a part of a block.
func (b *bucket) use(n int64) {
	if b.rate > 0 {
		b.level -= n
	}
}
