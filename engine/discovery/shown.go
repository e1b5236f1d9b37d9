package discovery

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Shown is the URL of a tracker, a web seed, or a .torrent as it is shown and logged,
// everywhere: path, query and user may hold a passkey, so only the scheme and the host
// are left.
func Shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "(not a URL)"
	}
	return forPeople(u.Scheme + "://" + u.Host)
}

// ShownError is what went wrong with a URL, without the URL that net/http puts before
// it, and without what may be secret of it: servers repeat what they were asked for,
// in reasons and redirects. Errors that say nothing of it are themselves.
func ShownError(err error, raw string) error {
	var in *url.Error
	if errors.As(err, &in) {
		err = in.Err
	}
	if err == nil {
		return nil
	}
	if text := err.Error(); withoutSecrets(text, raw) != text {
		return errors.New(withoutSecrets(text, raw))
	}
	return err
}

// leastSecret is the length in bytes of the shortest part of a URL that may be a
// secret. Passkeys have 16 and more; shorter parts are words that texts may have.
const leastSecret = 8

// withoutSecrets is text without the parts of a URL that may be secret.
func withoutSecrets(text, raw string) string {
	for _, s := range secrets(raw) {
		text = strings.ReplaceAll(text, s, "…")
	}
	return text
}

// secrets are the parts of a URL that may be secret, the longest first.
func secrets(raw string) (all []string) {
	add := func(s string) {
		if len(s) >= leastSecret && !strings.HasPrefix(s, "announce") {
			all = append(all, s)
		}
	}
	u, err := url.Parse(raw)
	if err != nil {
		add(raw)
		return all
	}
	add(u.RawQuery)
	for _, path := range []string{u.Path, u.EscapedPath()} {
		for part := range strings.SplitSeq(path, "/") {
			add(part)
		}
	}
	if query, err := url.ParseQuery(u.RawQuery); err == nil {
		for _, values := range query {
			for _, v := range values {
				add(v)
				add(url.QueryEscape(v))
			}
		}
	}
	if u.User != nil {
		add(u.User.Username())
		password, _ := u.User.Password()
		add(password)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}
