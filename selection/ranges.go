package selection

// fills notes whether the queue of a web seed is to be filled: from when half of
// it is worked off until it is full. Were it asked for one block whenever one
// has come, others would be asked for those in between, and each block would
// cost it an answer of its own.
func (p *peer) fills() {
	if p.kind == Ranges {
		n, depth := len(p.asked), p.depth()
		p.filling = n <= depth/2 || p.filling && n < depth
	}
}
