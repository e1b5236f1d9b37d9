# make demo   the main job, end to end, on a private swarm on this machine
# make test   everything that proves bipfs right (README: what it needs)
# make build  the program, static, into ./bipfs
# make install  DESTDIR= PREFIX=/usr/local UNITDIR=; as root after make build, or
#             PREFIX=~/.local for one user (docs/INSTALL.md)
# make licences  cmd/bipfs/licences.txt anew, after a module was changed
# make fuzz   every fuzz target for FUZZTIME (default 5s)
# make fuzz-long each for a minute
# make soak   the long run: every tool reads from every seeder, found in every way;
#             10 GiB round and round in a store of 1 GiB, for ten minutes
# make keeper what serves a mount is killed 50 times, and exchanged 50 times, under readers
# make films a player plays films for a minute each, from a swarm of 2 MB/s
# make scan   200 films of 1 GiB, looked at as by a media server; 10 GB of disk
# make matrix every client, seeding and leeching, in every way; prints the table
#             of docs/PROTOCOL.md
# make bench-peers  the laboratory: bipfs beside its peers, for docs/PERFORMANCE.md;
#             LAB='--runs 1 --only cat-4' (integration/lab/README.md)
# make profile where the processor's time goes between the swarm, the disk and a reader

VERSION  := $(shell cat VERSION)
GOFLAGS  := -trimpath -buildvcs=false
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 5s
# At most two packages at a time: the tests measure nothing, but they mount,
# and a starved mount is slow to no purpose. The tests that run beside each other
# wait for real clients most of the time, and so does the package that is first: the
# others are done beside it.
TEST     := go test -count=1 -timeout=20m -p 2 -parallel 8
ALL      := ./integration ./...

export CGO_ENABLED ?= 0

.PHONY: build install licences demo test vet unit race single fuzz fuzz-long cross bench bench-peers profile soak keeper matrix films scan clean

# Two builds of one source are the same bytes: no paths, no state of a repository.
build:
	go build $(GOFLAGS) $$(integration/modfile $$(go env GOARCH) .cache/$$(go env GOARCH)) -ldflags '$(LDFLAGS)' -o bipfs ./cmd/bipfs

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
DOCDIR  ?= $(DATADIR)/doc/bipfs
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Every prefix has a share/systemd/user where systemd looks, ~/.local too.
USERUNITDIR ?= $(DATADIR)/systemd/user
# mount(8) looks for its programs nowhere else.
SBINDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr/sbin,$(PREFIX)/sbin)
# What is installed; it also prints its manual page and completions.
PROGRAM ?= ./bipfs
DIST    := cmd/bipfs/dist
MADE    := umask 022; '$(PROGRAM)'
# Units name the program by its path.
UNIT    := umask 022; sed 's|@BINDIR@|$(BINDIR)|g'

install:
	@test -x '$(PROGRAM)' || $(MAKE) --no-print-directory build
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(USERUNITDIR)' '$(DESTDIR)$(DOCDIR)/examples' \
		'$(DESTDIR)$(DATADIR)/man/man1' '$(DESTDIR)$(DATADIR)/man/man8' '$(DESTDIR)$(DATADIR)/applications' \
		'$(DESTDIR)$(DATADIR)/bash-completion/completions' '$(DESTDIR)$(DATADIR)/zsh/site-functions' '$(DESTDIR)$(DATADIR)/fish/vendor_completions.d'
	install -m 755 '$(PROGRAM)' '$(DESTDIR)$(BINDIR)/bipfs'
	ln -sf '$(BINDIR)/bipfs' '$(DESTDIR)$(SBINDIR)/mount.bipfs'
	ln -sf '$(BINDIR)/bipfs' '$(DESTDIR)$(SBINDIR)/mount.fuse.bipfs'
	$(MADE) man >'$(DESTDIR)$(DATADIR)/man/man1/bipfs.1'
	umask 022; echo .so man1/bipfs.1 >'$(DESTDIR)$(DATADIR)/man/man8/mount.bipfs.8'
	$(MADE) completion bash >'$(DESTDIR)$(DATADIR)/bash-completion/completions/bipfs'
	$(MADE) completion zsh >'$(DESTDIR)$(DATADIR)/zsh/site-functions/_bipfs'
	$(MADE) completion fish >'$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/bipfs.fish'
	$(UNIT) '$(DIST)/bipfs@.service' >'$(DESTDIR)$(UNITDIR)/bipfs@.service'
	$(UNIT) $(DIST)/bipfs.service >'$(DESTDIR)$(USERUNITDIR)/bipfs.service'
	install -m 644 $(DIST)/bipfs.desktop '$(DESTDIR)$(DATADIR)/applications/bipfs.desktop'
	install -m 644 $(DIST)/config.toml $(DIST)/srv-torrents.mount $(DIST)/srv-torrents.automount '$(DESTDIR)$(DOCDIR)/examples'
	$(MADE) version --licences >'$(DESTDIR)$(DOCDIR)/licences'
	@case '$(DESTDIR)' in '') case ":$$PATH:" in *':$(BINDIR):'*) ;; *) echo '$(BINDIR) is not in your PATH yet: export PATH=$(BINDIR):$$PATH';; esac;; esac

licences: build
	go test -count=1 -run 'TestLicences$$' ./integration -update-licences

demo:
	@integration/need demo
	@$(MAKE) --no-print-directory build
	./bipfs demo --once

test:
	@integration/need test
	@integration/leftovers before
	$(MAKE) vet cross build
	$(MAKE) unit race single fuzz
	@integration/leftovers

# The linter's version is pinned; it is a program of its own, not a module of ours.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

vet:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'these files are not formatted: run gofmt -w'; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...

# Everything once, mounts and real clients included.
unit:
	$(TEST) $(ALL)

# The race detector needs cgo. What runs other programs for minutes is left to
# `unit`; it serves its mounts with the plain program.
race:
	CGO_ENABLED=1 $(TEST) -race -short $(ALL)

# Some failures show only when goroutines take turns.
single:
	GOMAXPROCS=1 $(TEST) -short $(ALL)

fuzz:
	integration/fuzz $(FUZZTIME)

fuzz-long:
	integration/fuzz 1m

cross:
	@for arch in amd64 arm64 arm 386 riscv64; do \
		echo "build and vet for $$arch"; \
		modfile=$$(integration/modfile $$arch .cache/$$arch) || exit 1; \
		GOARCH=$$arch go build $(GOFLAGS) $$modfile -o /dev/null ./cmd/bipfs && GOARCH=$$arch go vet $$modfile ./... || exit 1; \
	done
	@for os in darwin freebsd; do \
		echo "build for $$os: bipfs serve, without a mount"; \
		GOOS=$$os go build $(GOFLAGS) -o /dev/null ./cmd/bipfs || exit 1; \
	done

bench:
	go test -run '^$$' -bench . -benchmem ./...

bench-peers:
	@integration/need bench
	@$(MAKE) --no-print-directory build
	@mkdir -p .cache
	go run ./integration/lab --out .cache/bench-peers.tsv $(LAB)

profile:
	@integration/need test
	integration/profile

soak:
	@integration/need test
	go test -count=1 -timeout=90m -v -run 'TestSeeders|TestLeech|TestAway|TestBound$$' ./integration -soak
	go test -count=1 -timeout=60m -v -run TestPoisoners ./integration/replay -more-seeds 21

keeper:
	@integration/need test
	go test -count=1 -timeout=20m -v -run 'TestKeeper(Kill|Upgrade)$$' ./integration -keeper 50

matrix:
	@integration/need test
	go test -count=1 -timeout=20m -parallel 6 -v -run 'TestMatrix$$' ./integration -matrix

films:
	@integration/need test
	go test -count=1 -timeout=20m -v -run 'TestFilms$$' ./integration -play 60s

scan:
	@integration/need test
	go test -count=1 -timeout=60m -v -run 'TestScan$$' ./integration -scan 200

clean:
	rm -f bipfs
