package metainfo

import (
	"fmt"
	"strings"
)

// Hostile input is written by hand: dict and list put values together that no
// encoder would. A string is a bencoded string, an int or int64 an integer, a written
// stands as it is.
type written string

func dictionary(pairs ...any) written {
	var b strings.Builder
	b.WriteByte('d')
	for _, v := range pairs {
		b.WriteString(string(value(v)))
	}
	return written(b.String() + "e")
}

func list(values ...any) written {
	var b strings.Builder
	b.WriteByte('l')
	for _, v := range values {
		b.WriteString(string(value(v)))
	}
	return written(b.String() + "e")
}

func value(v any) written {
	switch v := v.(type) {
	case written:
		return v
	case string:
		return written(fmt.Sprintf("%d:%s", len(v), v))
	case int, int64:
		return written(fmt.Sprintf("i%de", v))
	}
	panic(fmt.Sprintf("no bencode for %T", v))
}
