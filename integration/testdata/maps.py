# maps.py A B: compares two files through maps, in an order that jumps about.
import mmap
import os
import sys

STEP = 257 * 1024 + 3
maps = []
for name in sys.argv[1:3]:
    fd = os.open(name, os.O_RDONLY)
    maps.append(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
a, b = maps
if len(a) != len(b):
    sys.exit("lengths differ: %d and %d" % (len(a), len(b)))
starts = list(range(0, len(a), STEP))
for at in starts[::2][::-1] + starts[1::2]:
    if a[at:at + STEP] != b[at:at + STEP]:
        sys.exit("the maps differ at %d" % at)
