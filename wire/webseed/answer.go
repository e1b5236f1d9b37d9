package webseed

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a web seed may answer, and what not.
var (
	ErrRange  = errors.New("the web seed answered with other bytes than it was asked for")
	ErrLength = errors.New("the web seed has a file of another length")
	ErrPacked = errors.New("the web seed packs its files")
	ErrLong   = errors.New("the web seed sent more than it was asked for")
)

// StatusError is an answer without the file.
type StatusError struct {
	Code int
	// RetryAfter is when it asks to be asked again, from then; 0 if it does
	// not say, at most MaxRetryAfter.
	RetryAfter time.Duration
}

// Error is the status as HTTP has it.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the web seed answered %d %s", e.Code, http.StatusText(e.Code))
}

// Permanent reports whether a connection ended for a reason that will be there
// the next time as well: the web seed has no such file, or another one, or
// cannot serve a part of it.
func Permanent(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		}
		return status.Code < 500
	}
	return errors.Is(err, ErrRange) || errors.Is(err, ErrLength) || errors.Is(err, ErrPacked)
}

// check judges the head of an answer to the request for a part of a file of so
// many bytes. skip is how many bytes of its body come before the part.
func check(r *http.Response, p part, file int64, now time.Time) (skip int64, err error) {
	switch r.StatusCode {
	case http.StatusPartialContent:
		from, length, whole, ok := contentRange(r.Header.Get("Content-Range"))
		if !ok || from != p.from || length != p.length || r.ContentLength >= 0 && r.ContentLength != length {
			return 0, ErrRange
		}
		if whole >= 0 && whole != file {
			return 0, ErrLength
		}
	case http.StatusOK:
		if r.ContentLength >= 0 && r.ContentLength != file {
			return 0, ErrLength
		}
		// All of the file comes: no more of it is let go by than a request costs.
		if p.from > MaxSkip || file-p.from-p.length > MaxSkip {
			return 0, ErrRange
		}
		skip = p.from
	default:
		return 0, &StatusError{r.StatusCode, retryAfter(r.Header.Get("Retry-After"), now)}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return 0, ErrPacked
	}
	return skip, nil
}

// contentRange reads "bytes FIRST-LAST/LENGTH" (RFC 9110, 14.4); whole is −1
// if the length is "*".
func contentRange(s string) (from, length, whole int64, ok bool) {
	unit, s, _ := strings.Cut(strings.TrimSpace(s), " ")
	span, total, slash := strings.Cut(s, "/")
	first, last, dash := strings.Cut(span, "-")
	from, ok1 := number(first)
	to, ok2 := number(last)
	whole, ok3 := number(total)
	if total == "*" {
		whole, ok3 = -1, true
	}
	ok = strings.EqualFold(unit, "bytes") && slash && dash && ok1 && ok2 && ok3 && to >= from && (whole < 0 || to < whole)
	return from, to - from + 1, whole, ok
}

// number reads digits and nothing else.
func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err == nil
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if seconds, ok := number(s); ok {
		d = time.Duration(min(seconds, int64(MaxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return max(0, min(d, MaxRetryAfter))
}
