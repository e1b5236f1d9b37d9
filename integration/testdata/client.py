# client.py: a libtorrent session on the loopback device.
#
#   client.py seed  ADDRESS:PORT FOLDER TORRENT...
#   client.py leech ADDRESS:PORT FOLDER PEER TORRENT     PEER: address:port, or - for the tracker's;
#                                                TORRENT may be a magnet link
#
#   client.py utp-seed …, client.py utp-leech …   the same without TCP
#   client.py hashed-seed …                       that hashes its content before it is ready
#
# seedoff and leechoff know no encryption; with seedrequire and leechrequire all
# is encrypted, with seedforce and leechforce it need be the handshake only.
# With UTP set it speaks uTP beside TCP, with SLOW it downloads next to nothing.
# With PEER=ADDRESS:PORT it connects to that peer, whether it seeds or leeches. With DHT_NODE=ADDRESS:PORT in the environment it takes part in the DHT, which
# it finds through that node; with LSD set, in local service discovery. TORRENT
# may be a magnet link.
#
# It prints "ready" when it listens, and "done" when a leech has everything.
import os
import sys
import time

import libtorrent as lt

role, listen, folder = sys.argv[1:4]
utp = role.startswith("utp-")
hashed = role.startswith("hashed-")
role = role.removeprefix("utp-").removeprefix("hashed-")
forced, disabled, plain, rc4 = lt.enc_policy.pe_forced, lt.enc_policy.pe_disabled, lt.enc_level.pe_plaintext, lt.enc_level.pe_rc4
encryption = {
    "off": {"out_enc_policy": disabled, "in_enc_policy": disabled},
    "require": {"out_enc_policy": forced, "in_enc_policy": forced, "allowed_enc_level": rc4},
    "force": {"out_enc_policy": forced, "in_enc_policy": forced, "allowed_enc_level": plain | rc4},
}
role, policy = ("seed", role[4:]) if role.startswith("seed") else ("leech", role[5:])
settings = {
    "listen_interfaces": listen,
    "outgoing_interfaces": listen.rsplit(":", 1)[0].strip("[]"),
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": "UTP" in os.environ, "enable_outgoing_utp": "UTP" in os.environ,
    "allow_multiple_connections_per_ip": True,
    **{name: int(value) for name, value in encryption.get(policy, {}).items()},
    "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
    | lt.alert.category_t.tracker_notification | lt.alert.category_t.connect_notification,
}
if utp:
    settings |= {
        "enable_incoming_utp": True, "enable_outgoing_utp": True,
        "enable_incoming_tcp": False, "enable_outgoing_tcp": False,
        "mixed_mode_algorithm": 0,  # uTP is not held back for TCP's sake
        "in_enc_policy": 2, "out_enc_policy": 2,  # none
    }
session = lt.session(settings)
if os.environ.get("DHT_NODE"):
    session.apply_settings({
        "enable_dht": True, "dht_bootstrap_nodes": os.environ["DHT_NODE"],
        # All nodes of this network have one address.
        "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_ignore_dark_internet": False,
        "dht_prefer_verified_node_ids": False,
    })
if os.environ.get("SLOW"):
    session.apply_settings({"download_rate_limit": 1000})
    everybody = lt.ip_filter()
    everybody.add_rule("0.0.0.0", "255.255.255.255", 1)  # the class that has the limit, for local peers, too
    session.set_peer_class_filter(everybody)
if os.environ.get("PEER"):
    # What can be reached only in another way is given up soon.
    session.apply_settings({"peer_connect_timeout": 2, "utp_connect_timeout": 1000, "min_reconnect_time": 1})
if os.environ.get("LSD"):
    session.apply_settings({"enable_lsd": True})


def info(file):
    """The torrent with the names that it says: libtorrent cuts long ones."""
    ti = lt.torrent_info(file)
    with open(file, "rb") as f:
        files = lt.bdecode(f.read())[b"info"].get(b"files", [])
    for i, entry in enumerate(files):
        path = [element.decode() for element in entry[b"path"]]
        if len(path[-1].encode()) > 240:
            ti.rename_file(i, "/".join([ti.name()] + path))
    return ti


def add(file):
    if file.startswith("magnet:"):
        p = lt.parse_magnet_uri(file)
    else:
        p = lt.add_torrent_params()
        p.ti = info(file)
    p.save_path = folder
    p.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if role == "seed" and not hashed:
        p.flags |= lt.torrent_flags.seed_mode
    return session.add_torrent(p)


handles = []
if role == "leech":
    handles.append(add(sys.argv[5]))
    if sys.argv[4] != "-":
        address, port = sys.argv[4].rsplit(":", 1)
        handles[0].connect_peer((address.strip("[]"), int(port)))
else:
    handles = [add(file) for file in sys.argv[4:]]

if os.environ.get("PEER"):
    address, port = os.environ["PEER"].rsplit(":", 1)
    for handle in handles:
        handle.connect_peer((address.strip("[]"), int(port)))

while hashed and not all(handle.status().is_seeding for handle in handles):
    time.sleep(0.05)
print("ready", flush=True)
said = False
turns = 0
while True:
    # By itself it looks again after a quarter of an hour, even if it had no
    # node yet when the torrent was added.
    if os.environ.get("DHT_NODE") and turns % 25 == 10:
        for handle in handles:
            handle.force_dht_announce()
    turns += 1
    for alert in session.pop_alerts():
        print(alert.message(), flush=True)
    if not said and role == "leech":
        s = handles[0].status()
        print("progress %.3f, %d peers, %d kB/s" % (s.progress, s.num_peers, s.download_rate // 1000), flush=True)
        if s.is_seeding:
            handles[0].flush_cache()
            print("done", flush=True)
            said = True
    time.sleep(0.2)
