# client.py: a libtorrent session on the loopback device.
#
#   client.py seed  ADDRESS:PORT FOLDER TORRENT...
#   client.py leech ADDRESS:PORT FOLDER PEER TORRENT     PEER: address:port, or - for the tracker's;
#                                                TORRENT may be a magnet link
#
# It prints "ready" when it listens, and "done" when a leech has everything.
import sys
import time

import libtorrent as lt

role, listen, folder = sys.argv[1:4]
session = lt.session({
    "listen_interfaces": listen,
    "outgoing_interfaces": listen.split(":")[0],
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_incoming_utp": False, "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "alert_mask": lt.alert.category_t.error_notification | lt.alert.category_t.status_notification
    | lt.alert.category_t.tracker_notification | lt.alert.category_t.connect_notification,
})


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
    if role == "seed":
        p.flags |= lt.torrent_flags.seed_mode
    return session.add_torrent(p)


handles = []
if role == "leech":
    handles.append(add(sys.argv[5]))
    if sys.argv[4] != "-":
        address, port = sys.argv[4].split(":")
        handles[0].connect_peer((address, int(port)))
else:
    handles = [add(file) for file in sys.argv[4:]]

print("ready", flush=True)
said = False
while True:
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
