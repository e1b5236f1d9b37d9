# libtorrent's word on a torrent of BEP 52.
#
#   v2.py create v2|hybrid PIECELENGTH PATH FILE.torrent
#   v2.py load FILE.torrent
#
# Both print the infohashes of v1 and v2 (- for none), and how many bytes are in
# files that are no pads.
import os
import sys

import libtorrent as lt


def show(ti):
    h, files = ti.info_hashes(), ti.files()
    size = sum(files.file_size(i) for i in range(files.num_files()) if not files.file_flags(i) & lt.file_flags_t.flag_pad_file)
    print(h.v1 if h.has_v1() else "-", h.v2 if h.has_v2() else "-", size)


if sys.argv[1] == "create":
    form, length, path, out = sys.argv[2:]
    fs = lt.file_storage()
    lt.add_files(fs, path)
    flags = lt.create_torrent.v2_only if form == "v2" else 0
    t = lt.create_torrent(fs, int(length), flags)
    lt.set_piece_hashes(t, os.path.dirname(path))
    with open(out, "wb") as f:
        f.write(lt.bencode(t.generate()))
    show(lt.torrent_info(out))
else:
    show(lt.torrent_info(sys.argv[2]))
