package integration

import (
	"io"
	"testing"
	"time"
)

// BenchmarkUTPFar moves 8 MiB over a path of 50 ms and 1 % loss: libtorrent to
// libtorrent, and ours to ours, through the same relay with the same seed, and
// each with the other. A run takes two minutes: -benchtime 1x.
func BenchmarkUTPFar(b *testing.B) {
	needLibtorrent(b)
	to := torrentOf(b, smallFile(b), 256<<10)
	size := float64(8<<20+4321) / 1e6
	for seed := range uint64(b.N) {
		far := world50
		far.seed = seed + 1
		theirs := size / libtorrentFar(b, to, far).Seconds()
		ours := size / oursFar(b, int64(size*1e6), far).Seconds()
		b.Logf("seed %d: libtorrent %.2f MB/s, ours %.2f MB/s", far.seed, theirs, ours)
		b.ReportMetric(theirs, "libtorrent-MB/s")
		b.ReportMetric(ours, "ours-MB/s")
		b.ReportMetric(ours/theirs, "ours/libtorrent")

		s, _ := utpSocket(b)
		conn := utpDial(b, s, relay(b, libtorrentUTP(b, "seed", contentDir(), "", to).addr, far))
		began := time.Now()
		if err := plainLeech(conn, to); err != nil {
			b.Fatal(err)
		}
		conn.Close()
		b.ReportMetric(size/time.Since(began).Seconds(), "from-libtorrent-MB/s")
		b.ReportMetric(size/leechTime(b, to, relay(b, utpSeeder(b, to), far)).Seconds(), "to-libtorrent-MB/s")
	}
}

// libtorrentFar is how long libtorrent takes to fetch a torrent from libtorrent.
func libtorrentFar(b *testing.B, to *torrent, far line) time.Duration {
	seeder := libtorrentUTP(b, "seed", contentDir(), "", to)
	defer seeder.kill()
	return leechTime(b, to, relay(b, seeder.addr, far))
}

// leechTime is how long libtorrent takes, from its start, which is short beside
// it.
func leechTime(b *testing.B, to *torrent, peer string) time.Duration {
	leech := libtorrentUTP(b, "leech", tempDir(b), peer, to)
	defer leech.kill()
	began := time.Now()
	leech.prints("done", 5*time.Minute)
	return time.Since(began)
}

// oursFar is how long as many bytes take between two sockets of ours.
func oursFar(b *testing.B, size int64, far line) time.Duration {
	server, addr := utpSocket(b)
	client, _ := utpSocket(b)
	l := server.Listen()
	defer l.Close()
	began := time.Now()
	conn := utpDial(b, client, relay(b, addr, far))
	defer conn.Close()
	go func() {
		conn.Write(make([]byte, size))
		conn.Close()
	}()
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer accepted.Close()
	if n, err := io.Copy(io.Discard, accepted); err != nil || n != size {
		b.Fatalf("%d bytes, %v", n, err)
	}
	return time.Since(began)
}
