# make demo   the main job, end to end, on a private swarm on this machine
# make test   everything that proves bipfs right (README: what it needs)
# make build  the program, static, into ./bipfs
# make fuzz   every fuzz target for FUZZTIME (default 10s)
# make fuzz-long each for a minute
# make soak   the long run: every tool reads from every seeder, found in every way;
#             10 GiB round and round in a store of 1 GiB, for ten minutes
# make scan   200 films of 1 GiB, looked at as by a media server; 10 GB of disk
# make matrix every client, seeding and leeching, in every way; prints the table
#             of docs/PROTOCOL.md
# make bench-peers  the laboratory: bipfs beside its peers, for docs/PERFORMANCE.md;
#             LAB='--runs 1 --only cat-4' (integration/lab/README.md)
# make profile where the processor's time goes between the swarm, the disk and a reader

VERSION  := $(shell cat VERSION)
GOFLAGS  := -trimpath
LDFLAGS  := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s
# At most two packages at a time: the tests measure nothing, but they mount,
# and a starved mount is slow to no purpose. The tests that run beside each other
# wait for real clients most of the time.
TEST     := go test -count=1 -timeout=20m -p 2 -parallel 4

export CGO_ENABLED ?= 0

.PHONY: build demo test vet unit race single fuzz fuzz-long cross bench bench-peers profile soak matrix scan clean

build:
	go build $(GOFLAGS) $$(integration/modfile $$(go env GOARCH) .cache/$$(go env GOARCH)) -ldflags '$(LDFLAGS)' -o bipfs ./cmd/bipfs

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
	$(TEST) ./...

# The race detector needs cgo. What runs other programs for minutes is left to
# `unit`; it serves its mounts with the plain program.
race:
	CGO_ENABLED=1 $(TEST) -race -short ./...

# Some failures show only when goroutines take turns.
single:
	GOMAXPROCS=1 $(TEST) -short ./...

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
	go test -count=1 -timeout=90m -v -run 'TestSeeders|TestAway|TestBound$$' ./integration -soak
	go test -count=1 -timeout=60m -v -run TestPoisoners ./integration/replay -more-seeds 21

matrix:
	@integration/need test
	go test -count=1 -timeout=20m -parallel 6 -v -run 'TestMatrix$$' ./integration -matrix

scan:
	@integration/need test
	go test -count=1 -timeout=60m -v -run 'TestScan$$' ./integration -scan 200

clean:
	rm -f bipfs
