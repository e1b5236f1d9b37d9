package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// tokenFile is the name of the file of the token, in a folder of its owner's.
const tokenFile = "http-token"

// tokenBytes is how much chance is in a token.
const tokenBytes = 32

// Token is the token that is kept in dir, and made where there is none: it stays
// the same over restarts, so that bookmarks, mounts and scrapers go on. Removing
// the file makes another one at the next start.
func Token(dir string) (string, error) {
	path := filepath.Join(dir, tokenFile)
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	token = base64.RawURLEncoding.EncodeToString(b)
	fresh := path + ".new"
	_ = os.Remove(fresh) // a start that was killed left it
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = io.WriteString(f, token+"\n")
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return "", fmt.Errorf("the token of --http cannot be stored: %w", err)
	}
	return token, nil
}

// readToken reads the file. One that others may read is no secret any more.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s may be read by others: remove it, and another token is made", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(b))
	if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || len(raw) != tokenBytes {
		return "", fmt.Errorf("%s is not a token: remove it, and another one is made", path)
	}
	return token, nil
}

// derived is a secret that opens less than the token, and does not tell it.
func derived(token, what string) string {
	m := hmac.New(sha256.New, []byte(token))
	_, _ = io.WriteString(m, what) // never fails
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// cookieValue is what a browser keeps in place of the token.
func cookieValue(token string) string { return derived(token, "cookie") }

// fileKey opens one file, for a player that keeps no cookie: it may be handed on
// in a playlist.
func fileKey(token, infohash, path string) string {
	return derived(token, "file "+infohash+" "+path)
}
