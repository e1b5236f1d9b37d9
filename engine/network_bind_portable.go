//go:build !linux

package engine

import "errors"

// bindToDevice has a socket send and hear through one device alone: where that
// cannot be promised nothing is sent at all.
func bindToDevice(int, string) error { return errors.ErrUnsupported }
