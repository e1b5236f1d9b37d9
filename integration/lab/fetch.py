"""fetch.py TORRENT DIR: downloads with libtorrent and prints how many seconds
there were from adding the torrent to its last verified piece."""
import sys
import time

import libtorrent

session = libtorrent.session({
    "listen_interfaces": "0.0.0.0:6881",
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False,  # the seeders of the laboratory have none
    "alert_mask": libtorrent.alert.category_t.status_notification | libtorrent.alert.category_t.error_notification,
})
what = libtorrent.add_torrent_params()
what.ti = libtorrent.torrent_info(sys.argv[1])
what.save_path = sys.argv[2]
began = time.monotonic()
handle = session.add_torrent(what)
while True:
    session.wait_for_alert(1000)
    for alert in session.pop_alerts():
        if isinstance(alert, libtorrent.torrent_finished_alert):
            print("seconds", time.monotonic() - began, flush=True)
            sys.exit(0)
        if isinstance(alert, libtorrent.torrent_error_alert):
            sys.exit(alert.message())
