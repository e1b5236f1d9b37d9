# ask.py: who has a torrent, as a tracker or a node of the DHT says.
#
#   ask.py tracker URL HASH
#   ask.py dht ADDRESS:PORT HASH
#
# It prints a line ADDRESS:PORT for each peer.
import re
import socket
import sys
import urllib.parse
import urllib.request

how, where, infohash = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
if how == "tracker":
    answer = urllib.request.urlopen(where + "?" + urllib.parse.urlencode({
        "info_hash": infohash, "peer_id": b"-XX0003-000000000000", "port": 1,
        "uploaded": 0, "downloaded": 0, "left": 1, "compact": 1,
    }), timeout=5).read()
    found = re.search(rb"5:peers(\d+):", answer)
    peers = answer[found.end():found.end() + int(found[1])] if found else b""
else:
    address, port = where.rsplit(":", 1)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(2)
    # A stranger gets no answer that is longer than what it asked.
    ask = b"d1:ad2:id20:" + bytes(range(20)) + b"9:info_hash20:" + infohash + b"e1:q9:get_peers1:t2:aa1:v900:" + bytes(900) + b"1:y1:qe"
    s.sendto(ask, (address, int(port)))
    answer = s.recv(65536)
    found = re.search(rb"6:valuesl", answer)
    peers, rest = b"", answer[found.end():] if found else b""
    while rest.startswith(b"6:"):
        peers, rest = peers + rest[2:8], rest[8:]
for i in range(0, len(peers) - 5, 6):
    print("%d.%d.%d.%d:%d" % (*peers[i:i + 4], peers[i + 4] << 8 | peers[i + 5]))
