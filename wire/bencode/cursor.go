package bencode

// Cursor walks through dictionaries inside dictionaries in one pass, however
// deep they are: Dictionary would walk over what is inside once for each level.
// Like the functions of read.go it expects what Validate accepted, and finds
// less in anything else.
//
//	c := NewCursor(v)
//	if c.Enter() {
//		for key, ok := c.Key(); ok; key, ok = c.Key() {
//			… c.Value(), or c.Enter() and so on inside it
//		}
//	}
type Cursor struct {
	b  []byte
	at int // len(b) once something was not as it should be
}

// NewCursor is a cursor that stands before the value v.
func NewCursor(v []byte) *Cursor { return &Cursor{b: v} }

// Enter goes into the dictionary that the cursor stands before; not ok if it is
// something else, which it then stands before still.
func (c *Cursor) Enter() bool {
	if c.at >= len(c.b) || c.b[c.at] != 'd' {
		return false
	}
	c.at++
	return true
}

// Key is the next key of the dictionary that the cursor is in; it then stands
// before its value. Not ok is the end of that dictionary, which it then stands
// behind.
func (c *Cursor) Key() (key []byte, ok bool) {
	t, err := scan(c.b, c.at)
	if err != nil || t.kind != 's' && t.kind != 'e' {
		c.at = len(c.b)
		return nil, false
	}
	c.at = t.end
	if t.kind == 'e' {
		return nil, false
	}
	return c.b[t.start:t.end:t.end], true
}

// Value is the value that the cursor stands before; it then stands behind it.
func (c *Cursor) Value() Raw {
	end := skip(c.b, c.at)
	if end < 0 {
		c.at = len(c.b)
		return nil
	}
	v := c.b[c.at:end:end]
	c.at = end
	return v
}
