package metainfo

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest path element in bytes (NAME_MAX of Linux).
const MaxName = 255

const (
	maxExtension = 16               // longest file extension that a shortened name keeps, bytes, with its dot
	maxNumber    = len(" (500000)") // longest number in a series: there are MaxEntries names
	joiners      = "\u200c\u200d"
	hexDigits    = "0123456789ABCDEF"
)

// SafeName is name as one path element that can be created, shown on a
// terminal and told from its neighbours. Names that are fine stay as they are,
// byte for byte: case, spaces, backslashes, trailing dots and the NFC and NFD
// forms of a letter are all kept apart.
//
// What is not fine is written %XX, byte by byte: the slash, control
// characters, bytes that are not UTF-8, and characters that do not show or
// that turn the direction of what is around them, so that `gpj.exe` cannot
// pass for `exe.jpg`. Zero-width joiners stay between characters outside the
// Latin script, where Persian, Indic scripts and emoji need them. `.` and
// `..` become %2E and %2E%2E, the empty name `_`.
//
// A name over MaxName bytes then is cut between two characters; it gets
// `~` and 8 hex digits of its SHA-1, so that two long names stay two, and keeps
// its extension.
//
// SafeName(SafeName(s)) is SafeName(s).
func SafeName(name string) string {
	switch name {
	case "":
		return "_"
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	if len(name) <= MaxName && plain(name) {
		return name
	}
	if safe, whole := escape(name, MaxName); whole {
		return safe
	}
	sum := sha1.Sum([]byte(name))
	ext := extension(name)
	tail := "~" + hex.EncodeToString(sum[:4]) + ext
	stem, _ := escape(name[:len(name)-len(ext)], MaxName-len(tail))
	return strings.TrimRight(stem, joiners) + tail
}

// plain reports whether name is printable ASCII without a slash, as most are.
func plain(name string) bool {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == '/' {
			return false
		}
	}
	return true
}

// escape is as much of name as fits in most bytes, escapes included, and
// whether that is all of it. It reads no further than that.
func escape(name string, most int) (safe string, whole bool) {
	b := make([]byte, 0, min(most, 3*len(name)))
	last := rune('/') // what was written last; an escape counts as ASCII
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		unit := name[:size]
		name = name[size:]
		shown := shows(r) && (r != utf8.RuneError || size > 1) || joins(last, r, name)
		if shown && len(b)+size <= most {
			b, last = append(b, unit...), r
			continue
		}
		if shown || len(b)+3*size > most {
			return string(b), false
		}
		for i := range size {
			b = append(b, '%', hexDigits[unit[i]>>4], hexDigits[unit[i]&15])
		}
		last = '%'
	}
	return string(b), true
}

// shows reports whether r is a character that shows, wherever it is.
func shows(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7F && r != '/'
	}
	if unicode.Is(unicode.Cf, r) {
		return unicode.Is(unicode.Prepended_Concatenation_Mark, r)
	}
	return !unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// joins reports whether r is a zero-width joiner with something to join: the
// character written last and the one that rest begins with, both of a script
// that has use for it.
func joins(last, r rune, rest string) bool {
	if !strings.ContainsRune(joiners, r) {
		return false
	}
	next, size := utf8.DecodeRuneInString(rest)
	return foreign(last) && foreign(next) && (next != utf8.RuneError || size > 1)
}

// foreign reports whether r shows and is beyond the Latin blocks.
func foreign(r rune) bool { return r > unicode.MaxLatin1 && !unicode.Is(unicode.Latin, r) && shows(r) }

// extension is the file extension of name, its dot included, or "": letters
// and digits only, so that it needs no escape and no number can hide in it.
func extension(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 1 || len(name)-dot > maxExtension || dot == len(name)-1 {
		return ""
	}
	for _, c := range []byte(name[dot+1:]) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return ""
		}
	}
	return name[dot:]
}

// series is the family of names `stem (2).ext`, `stem (3).ext`, … that are
// given to files whose own name is taken. No name is in two series.
type series struct{ stem, ext string }

// seriesOf is the series for a safe name, short enough for every number.
func seriesOf(name string) series {
	ext := extension(name)
	stem := name[:len(name)-len(ext)]
	if most := MaxName - maxNumber - len(ext); len(stem) > most {
		for !utf8.RuneStart(stem[most]) {
			most--
		}
		stem = strings.TrimRight(stem[:most], joiners)
	}
	return series{stem, ext}
}

func (s series) name(n int) string { return s.stem + " (" + strconv.Itoa(n) + ")" + s.ext }
