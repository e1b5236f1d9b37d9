"""Writes golden.txt: what both sides of a handshake send, worked out from the
description of the protocol and not from our code. One line for each case:
provide accept pads S initiator's bytes receiver's bytes; the hex of each.

The chance of a side is the bytes seed, seed+7, seed+14 ... (modulo 256), in
the order: private key (20), length of the pad (2, big-endian, modulo 513),
pad, length of the second pad. What is pads is put in the place of both lengths."""
import hashlib

P = int("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563", 16)
SKEY = bytes(range(20))
IA = b"\x13BitTorrent protocol" + bytes(8) + SKEY + b"-XX0001-abcdefghijkl"
HELLO = b"what the receiver says"
MORE = b"what the initiator says"


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


class RC4:
    def __init__(self, key):
        s, j = list(range(256)), 0
        for i in range(256):
            j = (j + s[i] + key[i % len(key)]) & 255
            s[i], s[j] = s[j], s[i]
        self.s, self.i, self.j = s, 0, 0
        self.crypt(bytes(1024))

    def crypt(self, data):
        out, s = bytearray(), self.s
        for b in data:
            self.i = (self.i + 1) & 255
            self.j = (self.j + s[self.i]) & 255
            s[self.i], s[self.j] = s[self.j], s[self.i]
            out.append(b ^ s[(s[self.i] + s[self.j]) & 255])
        return bytes(out)


class Chance:
    def __init__(self, seed):
        self.at = seed

    def take(self, n):
        out = bytes((self.at + 7 * k) & 255 for k in range(n))
        self.at = (self.at + 7 * n) & 255
        return out


def case(provide, accept, pads):
    select = 1 if provide & accept & 1 else 2
    a, b = Chance(1), Chance(2)
    xa, xb = int.from_bytes(a.take(20), "big"), int.from_bytes(b.take(20), "big")
    pad_a, pad_b = a.take(pads), b.take(pads)
    s = pow(pow(2, xb, P), xa, P).to_bytes(96, "big")
    from_a, from_b = RC4(sha1(b"keyA", s, SKEY)), RC4(sha1(b"keyB", s, SKEY))
    name = bytes(x ^ y for x, y in zip(sha1(b"req2", SKEY), sha1(b"req3", s)))
    two = pads.to_bytes(2, "big")
    sent_a = pow(2, xa, P).to_bytes(96, "big") + pad_a + sha1(b"req1", s) + name
    sent_a += from_a.crypt(bytes(8) + provide.to_bytes(4, "big") + two + bytes(pads) + len(IA).to_bytes(2, "big") + IA)
    sent_b = pow(2, xb, P).to_bytes(96, "big") + pad_b
    sent_b += from_b.crypt(bytes(8) + select.to_bytes(4, "big") + two + bytes(pads))
    sent_a += MORE if select == 1 else from_a.crypt(MORE)
    sent_b += HELLO if select == 1 else from_b.crypt(HELLO)
    print(provide, accept, pads, s.hex(), sent_a.hex(), sent_b.hex())


for provide, accept, pads in [(3, 3, 0), (3, 2, 17), (2, 3, 512), (2, 2, 1), (1, 3, 100), (1, 1, 511)]:
    case(provide, accept, pads)
