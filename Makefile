# `make help` lists the targets. Building, running and testing take Go and make
# alone, and for the tests of documents and of the command curl, zsh, fish, mandoc and chromium, for those of
# kinds of guests clang, lld, cargo and libstd-rust-dev-wasm32; lint also takes
# wat2wasm and hunspell, of the Debian packages wabt, hunspell and hunspell-en-gb, scaffolds the toolchains
# of other languages, whose Debian packages .ci/run has, fuzz-engine and bench-gate those of C and Rust,
# test-arm64 qemu-user-static, guests-simd cargo and libstd-rust-dev-wasm32, and bench-peers
# those and nodejs and npm.

PLUGINS   := cascade tick
VERSION   := $(shell git describe --always --dirty --tags 2>/dev/null || echo devel)
FUZZTIME  ?= 10s
FUZZWORKERS ?= $(shell nproc 2>/dev/null || echo 2)
GUARDS    ?= on
FUZZFLAGS ?=
BENCHTIME ?= 1s
BENCHFLAGS ?= -benchtime $(BENCHTIME)
PEERFLAGS ?=
PEERS     := command echo extism noop wapc

WASIP1 := GOOS=wasip1 GOARCH=wasm

.DEFAULT_GOAL := help
.PHONY: help guests guests-simd build examples run test race scaffolds fuzz fuzz-engine test-arm64 bench bench-gate bench-peers bench-test deploy-test bench-smoke peers-smoke api-test api-client lint check soak state-crash guests-wat FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

guests: $(PLUGINS:%=bin/plugins/%.wasm) ## build the plugins to bin/plugins

# A host may watch bin/plugins: a plugin appears there whole, and only if it
# differs.
bin/plugins/%.wasm: FORCE
	@mkdir -p bin/plugins bin/guests
	$(WASIP1) go build -buildmode=c-shared -trimpath -ldflags=-w -o bin/guests/$*.wasm ./plugins/$*/wasm
	@cmp -s bin/guests/$*.wasm $@ || { cp bin/guests/$*.wasm bin/guests/$*.new && mv bin/guests/$*.new $@; }

guests-simd: $(PLUGINS:%=bin/plugins-simd/%.wasm) ## build the plugins from Rust with SIMD to bin/plugins-simd; takes cargo

bin/plugins-simd/%.wasm: FORCE
	plugins/rust/build.sh $* $@

build: guests ## build the plugins and bin/resonhost
	go build -trimpath -ldflags='-X main.version=$(VERSION)' -o bin/resonhost ./cmd/resonhost

# A version of a plugin has its name, so that each lies in a directory of its own.
EXAMPLES := shout/shout louder/shout greet/greet invoice/invoice

examples: build $(EXAMPLES:%=bin/examples/%.wasm) ## build the examples' plugins to bin/examples

bin/examples/%.wasm: FORCE
	@mkdir -p $(@D)
	$(WASIP1) go build -buildmode=c-shared -trimpath -ldflags=-w -o $@ ./examples/plugins/$(*D)

run: build ## serve both plugins on the loopback interface
	bin/resonhost run --plugins bin/plugins

# A limit that a machine with other work meets, too: tests that build and compile take minutes
# there, of seconds.
TESTTIME ?= 30m
# What race leaves out, by name, because its detector finds nothing there: tests that drive the
# built binary, which has none, and tests that compute on one goroutine what takes minutes under it,
# which is mostly to compile a Go program, as all examples and hosttest do. The package meter has no
# goroutine at all.
# All are in test.
NO_RACE_PACKAGES := /host/internal/module/meter$$|/hosttest$$|/fleet/chaos$$
NO_RACE_BINARY   := Examples|Dashboard|CompletionInShells|Scripts|Dev|Docs|Vectors|StdoutFails|SignalsDrain|LogIsGone|SecondSignal
NO_RACE_ALONE    := Tables|Guest|Go|GoGuest|Compiled|Determinism|ResetAlone|GoSleeps|Starts|SandboxAgrees|Foreign|ScaffoldEmbeds|JSONForRecord|NothingIsLeft|StreamsKeepApart|RealClockSleeps|Inspect
RACEFLAGS ?=

test: build ## run all tests
	go test -timeout $(TESTTIME) ./...

race: build ## run the tests under the race detector that have something for it; RACEFLAGS
	@packages=$$(go list ./...) || exit 1; \
	go test -race -timeout $(TESTTIME) -skip '^(Test($(NO_RACE_BINARY)|$(NO_RACE_ALONE))$$|Example)' $(RACEFLAGS) \
		$$(echo "$$packages" | grep -vE '$(NO_RACE_PACKAGES)')

scaffolds: ## build what resonhost new writes and the plugins' Rust with each language's toolchain, and test it
	go test -tags scaffolds -count=1 -run '^Test(Toolchains|RustOutput)$$' ./internal/scaffold
	go test -tags scaffolds -count=1 -run '^TestRust' ./plugins
	go test -tags scaffolds -count=1 -run '^TestNative' ./host/internal/module/differ

fuzz: ## run each fuzz target for FUZZTIME (10s)
	@targets=$$(go test -list '^Fuzz' ./...) || { echo "$$targets"; exit 1; }; \
	echo "$$targets" | awk '/^Fuzz/ { f[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print f[i], $$2; n = 0 }' | \
	while read -r target package; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$package" || exit 1; \
	done

fuzz-engine: ## look for what wazero's compiler gets wrong, for FUZZTIME; FUZZWORKERS, GUARDS (on, off, or names), FUZZFLAGS; takes clang, lld and cargo as scaffolds does
	@mkdir -p bin/fuzz
	go build -o bin/fuzzengine ./host/internal/module/differ/fuzzengine
	bin/fuzzengine -time $(FUZZTIME) -workers $(FUZZWORKERS) -guards $(GUARDS) -report bin/fuzz/$(GUARDS).json -findings bin/fuzz $(FUZZFLAGS)
	RESONHOST_NATIVE_TIME=$(FUZZTIME) go test -tags scaffolds -count=1 -timeout 0 -run '^TestNative' -v ./host/internal/module/differ

# What does not depend on the architecture is left out, and so is what the emulator cannot do:
# soft-dirty pages and the pagemap (host/internal/module/memory), the scheduling of threads
# (timeslice), and processes of its own binary, which the fuzzer does without (-workers 0).
ARM64 := GOARCH=arm64 go test -exec qemu-aarch64-static -short -count=1 -timeout 20m

test-arm64: ## run what depends on the engine's machine code for arm64, by emulation; takes qemu-user-static
	@command -v qemu-aarch64-static >/dev/null || { echo "qemu-aarch64-static is missing: install Debian's qemu-user-static"; exit 1; }
	$(ARM64) -run '^TestVectors$$/^compiler$$' ./host
	$(ARM64) -run '^Test(Run|RunBounds|LoadRefuses|NaN)$$' ./host/internal/module
	$(ARM64) -run '^Test(Semantics|Endless|Guard.*)$$' ./host/internal/module/meter
	$(ARM64) ./host/internal/module/differ -workers 0

bench: build ## compare native, inline, WASM and batched WASM; BENCHTIME (1s) or BENCHFLAGS
	cd bench && go run . $(BENCHFLAGS)

bench-gate: build ## fail if ratios exceed the bounds of bench/gate.txt and bench/guards.txt; takes clang, lld and cargo as scaffolds does
	cd bench && go run . -benchtime 400ms -gate gate.txt
	go test -run '^$$' -bench '^Benchmark(Guards|Verify)$$' -benchtime 500ms ./host/internal/module -gate $(CURDIR)/bench/guards.txt

bench-peers: guests guests-simd $(PEERS:%=bin/peers/%.wasm) bench/peers/piscina/node_modules/.package-lock.json ## compare with Piscina, Extism, waPC, go-plugin; BENCHFLAGS, PEERFLAGS (-smoke, -readme ../README.md)
	cd bench && go build -trimpath -o ../bin/peers/peers ./peers && ../bin/peers/peers $(BENCHFLAGS) $(PEERFLAGS)

bin/peers/command.wasm: PEERMODE := default
bin/peers/%.wasm: FORCE
	@mkdir -p bin/peers
	cd bench && $(WASIP1) go build -buildmode=$(or $(PEERMODE),c-shared) -trimpath -ldflags=-w -o ../$@ ./peers/guests/$*

%/node_modules/.package-lock.json: %/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install nodejs (20 or newer) and npm"; exit 1; }
	cd $* && npm ci --no-audit --no-fund
	@touch $@

lint: ## check format, vet, linters, go.mod files, the compiled guests and the documents' spelling
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt these:"; echo "$$files"; exit 1; }
	go vet -tags scaffolds,spelling ./...
	go test -tags spelling ./internal/docs
	GOARCH=386 go build ./...
	$(WASIP1) go vet ./abi/... ./resonance/cascade/... ./resonance/tick/... ./resonance/internal/... ./plugins/... ./examples/plugins/... ./testdata/guests/...
	cd tools/apitest && go vet -tags client ./...
	cd bench && go vet ./... && $(WASIP1) go vet ./peers/guests/...
	cd deploy && go vet ./...
	@# Its cache has the paths of the checkout it was filled from.
	@export GOLANGCI_LINT_CACHE=$(CURDIR)/bin/lint-cache && linter=$$(go tool -modfile=tools/go.mod -n golangci-lint) && set -x && \
	$$linter run ./... && $(WASIP1) $$linter run ./abi/... ./resonance/cascade/... ./resonance/tick/... ./resonance/internal/... ./plugins/... ./examples/plugins/... && (cd deploy && $$linter run -c ../.golangci.yml ./...) && (cd tools/apitest && $$linter run -c ../../.golangci.yml ./...) && cd bench && $$linter run -c ../.golangci.yml ./...
	for module in . tools bench deploy tools/apitest testdata/commands; do (cd $$module && go mod tidy -diff) || exit 1; done
	@mkdir -p bin/guests-wat && testdata/guests/compile.sh ../../bin/guests-wat
	@for wasm in testdata/guests/*.wasm testdata/guests/proposals/*.wasm; do \
		cmp bin/guests-wat/$${wasm#testdata/guests/} $$wasm || { echo "run make guests-wat and commit"; exit 1; }; \
	done
	@cmp bin/guests-wat/extism-kernel.wasm host/internal/module/kind/extism/kernel.wasm || { echo "run make guests-wat and commit"; exit 1; }

deploy-test: ## check what runs resonhost as a service: units, image, manifests, alerts, dashboard; takes promtool (prometheus) and systemd-analyze (systemd)
	cd deploy && go test -timeout $(TESTTIME) ./...

bench-test: ## run the tests of bench
	cd bench && go test -timeout $(TESTTIME) ./...

bench-smoke: ## run each benchmark of bench once, briefly
	@$(MAKE) --no-print-directory bench BENCHTIME=20ms

api-test: ## hold the server to its OpenAPI document
	cd tools/apitest && go test -timeout $(TESTTIME) ./...

api-client: tools/apitest/client/node_modules/.package-lock.json ## generate a client of the OpenAPI document, compile it, and call every route; takes nodejs and npm
	cd tools/apitest && go test -tags client -count=1 -run '^TestClient$$' -timeout $(TESTTIME) ./...

peers-smoke: ## check that resonhost and its peers have the same results
	@$(MAKE) --no-print-directory bench-peers PEERFLAGS=-smoke

check: ## what CI runs: all of lint, test, race, scaffolds, test-arm64, deploy-test and bench's parts; says what each took, and ends with a clean tree
	@.ci/check

CHAOSROUNDS ?= 100
fleet-chaos: ## have hosts and servers of a fleet die under load, CHAOSROUNDS (100) times, and write fleet/chaos/REPORT.md
	go test -count=1 -timeout 3h -v -run '^TestChaos$$' ./fleet/chaos -rounds $(CHAOSROUNDS) -report $(CURDIR)/fleet/chaos/REPORT.md

SOAKTIME ?= 2m
soak: ## what takes too long for check: race three times over, each fuzz target for SOAKTIME (2m), state-crash
	$(MAKE) race TESTTIME=3h RACEFLAGS=-count=3
	$(MAKE) fuzz FUZZTIME=$(SOAKTIME)
	$(MAKE) fuzz-engine FUZZTIME=$(SOAKTIME)
	$(MAKE) state-crash

CRASHES ?= 200
state-crash: ## kill a host CRASHES (200) times for each store of states, and see that streams go on from states they had
	go test -count=1 -run '^TestKilled$$' -v -timeout 2h ./host -crashes $(CRASHES)

guests-wat: ## compile the hand-written hostile guests anew, with wat2wasm
	testdata/guests/compile.sh

FORCE:
