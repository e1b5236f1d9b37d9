package discovery

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"
)

// live is the life of one node: it wakes when something is searched for, and
// goes quiet again.
func (d *DHT) live(n *dhtNode) {
	for d.ctx.Err() == nil {
		if !d.awake() {
			select {
			case <-n.bell:
			case <-d.ctx.Done():
			}
			continue
		}
		if !d.wake(n) {
			continue
		}
		n.maintain()
		d.stayAwake(n)
		// Another server, which nobody maintains, keeps the nodes.
		if d.ctx.Err() == nil {
			d.renew(n, n.id)
		}
		n.gate.mu.Lock()
		n.gate.reach.asleep()
		n.gate.mu.Unlock()
		d.save()
	}
}

// wake finds nodes that answer; false if nothing is searched for any more.
func (d *DHT) wake(n *dhtNode) bool {
	ready := n.ready
	select {
	case <-ready: // in an earlier life
		ready = nil
	default:
	}
	for wait := wakeFirst; d.awake(); wait = min(2*wait, wakeLongest) {
		if d.boot(n) {
			return true
		}
		select {
		case <-time.After(wait):
		case <-ready: // others have found us
			return true
		case <-d.ctx.Done():
		}
	}
	return false
}

// boot asks nodes of the table, and the bootstrap nodes if too few of those
// answer. It is done as soon as enough have answered, or with one when all have
// had their time; what is still under way then goes on.
func (d *DHT) boot(n *dhtNode) bool {
	nodes := n.nodes()
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	nodes = nodes[:min(len(nodes), wakeNodes)]
	answers := make(chan int, len(nodes)+len(d.c.Nodes))
	for _, node := range nodes {
		d.ask(answers, func() int { return n.ask(d.ctx, node.addr) })
	}
	asked, heard := false, 0
	patience := time.After(wakePatient)
	for under := len(nodes); heard < enoughNodes && (under > 0 || !asked); {
		if under == 0 {
			patience = time.After(0)
		}
		select {
		case k := <-answers:
			under--
			heard += k
		case <-patience:
			patience, asked, under = nil, true, under+len(d.c.Nodes)
			for _, host := range d.c.Nodes {
				d.ask(answers, func() int { return d.askHost(n, host) })
			}
		case <-d.ctx.Done():
			return false
		}
	}
	if heard > 0 {
		n.enough()
	}
	return heard > 0
}

// ask has ask asked in the background; how many answered is told to answers,
// which has room.
func (d *DHT) ask(answers chan<- int, ask func() int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.wg.Go(func() { answers <- ask() })
	}
}

// ask is 1 if the node at addr answers.
func (n *dhtNode) ask(ctx context.Context, addr netip.AddrPort) int {
	if n.find(ctx, addr) {
		return 1
	}
	return 0
}

// askHost is how many addresses of a bootstrap node answer.
func (d *DHT) askHost(n *dhtNode, host string) (heard int) {
	addrs, err := d.c.Resolve(d.ctx, host)
	if err != nil {
		d.c.Log.Debug("a DHT node cannot be looked up", "node", host, "err", err)
		return 0
	}
	for _, a := range addrs[:min(len(addrs), maxMeeting)] {
		if a.Addr().Is6() == n.gate.six && meetable(a) {
			heard += n.ask(d.ctx, a)
		}
	}
	return heard
}

// stayAwake looks after a node until nothing is searched for any more, or until
// no node is left that answers.
func (d *DHT) stayAwake(n *dhtNode) {
	look := time.NewTicker(LookAgain)
	defer look.Stop()
	saved := time.Now()
	for {
		select {
		case <-look.C:
		case <-d.ctx.Done():
			return
		}
		now := time.Now()
		n.gate.mu.Lock()
		was := n.gate.reach.readOnly
		is := n.gate.reach.judge(now)
		us, known := n.gate.votes.elected()
		n.gate.mu.Unlock()
		if was != is {
			d.c.Log.Info("other DHT nodes can reach us", "reachable", !is, "ipv6", n.gate.six)
		}
		if !d.awake() || len(d.good(n.gate.six)) == 0 {
			return
		}
		if known && !secureID(n.id, us) {
			d.renew(n, newID(us))
			n.maintain()
		}
		if now.Sub(saved) >= SaveAgain {
			saved = now
			d.save()
		}
	}
}

// renew has another server take over, with the nodes that answer, or all of
// the table if none does.
func (d *DHT) renew(n *dhtNode, id nodeID) {
	nodes := d.good(n.gate.six)
	if len(nodes) == 0 {
		nodes = n.nodes()
	}
	if err := n.restart(id, nodes); err != nil {
		panic(err) // it opens nothing that could fail
	}
}
