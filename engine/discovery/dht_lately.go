package discovery

// lately is a bounded map: the oldest entry makes room for the newest.
type lately[K comparable, V any] struct {
	most  int
	in    map[K]V
	order []K // a ring once it is full
	next  int
}

func newLately[K comparable, V any](most int) lately[K, V] {
	return lately[K, V]{most: most, in: map[K]V{}}
}

func (l *lately[K, V]) get(k K) (v V, ok bool) {
	v, ok = l.in[k]
	return v, ok
}

// put sets the value of k; one that is there keeps its age.
func (l *lately[K, V]) put(k K, v V) {
	if _, known := l.in[k]; !known {
		if len(l.order) < l.most {
			l.order = append(l.order, k)
		} else {
			delete(l.in, l.order[l.next])
			l.order[l.next] = k
			l.next = (l.next + 1) % l.most
		}
	}
	l.in[k] = v
}

// take removes k. Its place in the order is not given back: an entry that is
// put under the same key again may have to go early.
func (l *lately[K, V]) take(k K) (v V, ok bool) {
	v, ok = l.in[k]
	delete(l.in, k)
	return v, ok
}
