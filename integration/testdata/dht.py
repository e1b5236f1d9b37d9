# dht.py: nodes of a DHT, each with an address of its own and nothing to share.
#
#   dht.py COUNT FIRST PORT      at FIRST, the address after it, and so on
#
# It prints "ready" when each knows others.
import ipaddress
import sys
import time

import libtorrent as lt

count, first, port = int(sys.argv[1]), ipaddress.ip_address(sys.argv[2]), sys.argv[3]
sessions = [lt.session({
    "listen_interfaces": "%s:%s" % (first + i, port), "dht_bootstrap_nodes": "",
    "enable_dht": True, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False, "alert_mask": 0,
}) for i in range(count)]
for i, s in enumerate(sessions):
    for j in range(1, 9):
        s.add_dht_node((str(first + (i + j) % count), int(port)))
while min(s.status().dht_nodes for s in sessions) < 6:
    time.sleep(0.2)
print("ready", flush=True)
while True:
    time.sleep(60)
