package mse

import (
	"io"
	"math/big"
)

// The numbers of the Diffie-Hellman exchange. A private key is of 160 bits:
// more would not make RC4 harder to break.
const (
	publicSize  = 96 // bytes
	privateSize = 20
)

// MaxComputing is how many powers modulo p are computed at a time in all of
// the process. Whoever sends us 96 bytes makes us compute two of them, which
// take some 0.2 ms: a flood of such greetings has one processor at most, and
// as few handshakes are under way, an honest one waits some 30 ms.
const MaxComputing = 1

var computing = make(chan struct{}, MaxComputing)

// prime is p, of which (p-1)/2 is a prime too.
var prime = number("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74" +
	"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437" +
	"4FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563")

var (
	generator = big.NewInt(2)
	one       = big.NewInt(1)
	last      = new(big.Int).Sub(prime, one) // p-1
)

func number(hex string) *big.Int {
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		panic("not a number: " + hex)
	}
	return n
}

// key is a private key.
type key struct{ x *big.Int }

// newKey takes privateSize bytes of chance.
func newKey(random io.Reader) (key, error) {
	var b [privateSize]byte
	_, err := io.ReadFull(random, b[:])
	return key{new(big.Int).SetBytes(b[:])}, err
}

// parseKey is a public key. One of which everybody knows the powers, or that
// is no remainder of p, is ErrKey.
func parseKey(b [publicSize]byte) (*big.Int, error) {
	y := new(big.Int).SetBytes(b[:])
	if y.Cmp(one) <= 0 || y.Cmp(last) >= 0 {
		return nil, ErrKey
	}
	return y, nil
}

// power is base^x mod p: of the generator it is the public key, of the other
// side's public key the secret S.
func (k key) power(base *big.Int) (p [publicSize]byte) {
	computing <- struct{}{}
	defer func() { <-computing }()
	new(big.Int).Exp(base, k.x, prime).FillBytes(p[:])
	return p
}
