package bencode

import "strconv"

// reference is the definition of what Validate accepts, written down in the
// shortest way: recursive, with a map for the keys of each dictionary. It
// returns what is left after the value; ok is false if there is none. depth and
// items are what may still be used.
func reference(s string, depth int, items *int) (rest string, ok bool) {
	if *items--; *items < 0 || s == "" {
		return "", false
	}
	switch s[0] {
	case 'i':
		for i := 1; i < len(s); i++ {
			if s[i] == 'e' {
				n, err := strconv.ParseInt(s[1:i], 10, 64)
				return s[i+1:], err == nil && strconv.FormatInt(n, 10) == s[1:i]
			}
		}
		return "", false
	case 'l', 'd':
		if depth == 0 {
			return "", false
		}
		keys := map[string]bool{}
		for rest = s[1:]; rest != ""; {
			if rest[0] == 'e' {
				return rest[1:], true
			}
			if s[0] == 'd' {
				if rest[0] < '0' || rest[0] > '9' {
					return "", false
				}
				key := rest
				if rest, ok = reference(rest, depth-1, items); !ok {
					return "", false
				}
				// With its length, which has one form.
				if key = key[:len(key)-len(rest)]; keys[key] {
					return "", false
				}
				keys[key] = true
			}
			if rest, ok = reference(rest, depth-1, items); !ok {
				return "", false
			}
		}
		return "", false
	}
	for i := range len(s) {
		if s[i] == ':' {
			n, err := strconv.ParseInt(s[:i], 10, 64)
			if err != nil || n < 0 || strconv.FormatInt(n, 10) != s[:i] || n > int64(len(s)-i-1) {
				return "", false
			}
			return s[i+1+int(n):], true
		}
	}
	return "", false
}
