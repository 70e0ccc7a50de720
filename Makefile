# billonce. `make` alone prints what there is.
#
# A bare Debian machine with Go, bash, git and make is enough: what else a target needs (PostgreSQL, a C compiler for the
# race detector, the linter) it finds, or installs when it runs as root, or says plainly.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The longest that one package's tests may take.
TEST_TIMEOUT ?= 10m
# How long each fuzz target runs.
FUZZTIME ?= 60s
# What the tests run on: make test-fast PKG=./pkg/vault/...
PKG ?= ./...
# What make chaos runs: how many seeds, from which one (chance decides if it is empty), with how many tasks each.
SEEDS ?= 10
SEED ?=
TASKS ?= 150
# How many merchants' tokens make rotation seals anew, under load.
MERCHANTS ?= 200000
# More for a target's command: make run ARGS='--api-addr :9000'
ARGS ?=

# Static binaries, and the same flags for building, vetting and linting, so that they share one build cache.
GO := CGO_ENABLED=0 go
BUILDFLAGS := -trimpath
LDFLAGS := -s -w -X billonce/pkg/app.Version=$(VERSION) -X billonce/cmd/billctl/cli.Version=$(VERSION)

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

## Using it

.PHONY: build
build: needs-go ## Build the static binaries into bin/
	@mkdir -p bin
	$(GO) build $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: run
run: build ## Run everything on this machine, with sample merchants and tasks, until Ctrl-C
	@exec bin/billctl dev $(ARGS)

.PHONY: demo
demo: build ## The same without a person: exit 0 if each task had exactly one effect
	@exec bin/billctl dev --demo $(ARGS)

.PHONY: migrate
migrate: build ## Bring the schema of DATABASE_URL up to date
	@exec bin/billctl migrate up $(ARGS)

.PHONY: compose-up
compose-up: ## Build the images and run them with docker-compose
	@tools/compose.sh up --build $(ARGS)

## Working on it

.PHONY: test
test: needs-go needs-cc needs-curl build vet fmt-check tidy-check lint openapi-check clients-check bench-check rules-check spans-check browser-check test-race test-browser ## Everything that CI runs

# -count=1: go does not see that the programs which a test starts have changed, and would call an old result valid.
.PHONY: test-race
test-race: needs-go needs-cc needs-curl build ## All tests under the race detector, against a PostgreSQL of their own
	CGO_ENABLED=1 bin/billctl dev exec -- go test -race -count=1 -timeout $(TEST_TIMEOUT) $(PKG)

.PHONY: test-fast
test-fast: needs-curl build ## The tests of PKG without the race detector
	bin/billctl dev exec -- go test -count=1 -timeout $(TEST_TIMEOUT) $(PKG)

# By itself, after the others: pages are timed, and a browser takes all of two processors.
.PHONY: test-browser
test-browser: needs-go needs-cc build ## The console in a real Chromium: actions, keyboard, no JavaScript, accessibility, speed; ARGS='-run X -v'
	tools/browser.sh test -timeout $(TEST_TIMEOUT) $(ARGS)

.PHONY: browser-check
browser-check: needs-go
	tools/browser.sh check

.PHONY: screenshots
screenshots: needs-go needs-cc build ## Take the pictures of the console in docs/images anew
	BROWSER_DOCS=../../docs/images tools/browser.sh test -timeout $(TEST_TIMEOUT) -run '^TestPicturesForTheDocs$$' -v

.PHONY: console-load
console-load: needs-go ## What 20 people at the console cost the api's enqueue rate: fails at 10 % or more
	cd bench && $(GO) run . -v -strict -only console -repeats 15 -out results/console $(ARGS)

.PHONY: chaos
chaos: needs-go needs-cc build ## Everything goes wrong at once, and the books are audited: make chaos SEEDS=100
	CGO_ENABLED=1 CHAOS_SEEDS=$(SEEDS) CHAOS_SEED=$(SEED) CHAOS_TASKS=$(TASKS) \
		go test -race -count=1 -v -timeout 24h -run '^TestChaos$$' ./test/chaos

.PHONY: rotation
rotation: needs-go build ## Rotate the key of MERCHANTS twice under load, at 200,000 a minute or faster and without an error
	ROTATION_MERCHANTS=$(MERCHANTS) bin/billctl dev exec -- \
		go test -count=1 -v -timeout 30m -run '^TestKeysRotateUnderLoad$$' ./pkg/app

.PHONY: vet
vet: needs-go
	$(GO) vet $(BUILDFLAGS) ./...

.PHONY: lint
lint: needs-go ## Run the pinned golangci-lint, built by Go on first use
	tools/golangci-lint.sh run ./...

.PHONY: generate
generate: needs-go ## Make the Go client and the page at /docs from pkg/httpapi/openapi.yaml
	$(GO) run $(BUILDFLAGS) ./tools/apigen

.PHONY: openapi-check
openapi-check: needs-go ## Lint pkg/httpapi/openapi.yaml, and refuse what would break clients of the last tag (or of BASE)
	tools/openapi.sh lint
	tools/openapi.sh breaking

.PHONY: clients
clients: ## Make, compile and test the TypeScript client
	tools/clients.sh make

.PHONY: clients-check
clients-check: ## The same, without making: fails when it would come out otherwise
	tools/clients.sh check

.PHONY: fmt
fmt: needs-go ## Format the source
	tools/golangci-lint.sh fmt

.PHONY: fmt-check
fmt-check: needs-go
	@badly=$$(find . -name '*.go' -not -path '*/.*/*' -not -path '*/testdata/*' -not -path './bin/*' -exec gofmt -l {} +); \
	if [[ -n $$badly ]]; then printf 'not formatted, run make fmt:\n%s\n' "$$badly" >&2; exit 1; fi

.PHONY: tidy-check
tidy-check: needs-go
	go mod tidy -diff

.PHONY: fuzz
fuzz: needs-go ## Run every fuzz target for FUZZTIME (60s)
	FUZZTIME=$(FUZZTIME) tools/fuzz.sh

.PHONY: audit
audit: needs-go ## Licences of the dependencies, and known vulnerabilities; GOVULNDB=/path for a database without a network
	@$(GO) build $(BUILDFLAGS) -o bin/audit ./tools/audit && bin/audit $(ARGS)

.PHONY: bench
bench: needs-go ## Benchmark beside the peers, with a PostgreSQL of its own: about 50 minutes; ARGS='-only a,b'
	cd bench && $(GO) run . -v $(ARGS)

.PHONY: bench-quick
bench-quick: needs-go ## The same in under three minutes, with less of everything
	cd bench && $(GO) run . -quick $(ARGS)

.PHONY: profile
profile: needs-go ## Record CPU, allocation and block profiles of the worker, draining and with many slow calls, in bench/results/profiles
	@rm -rf bench/results/profiles
	cd bench && $(GO) run . -v -repeats 1 -contenders billonce -only a,slots -out results/profiles -profiles results/profiles $(ARGS)
	@printf 'look at one with: go tool pprof -top bench/results/profiles/worker-….pprof\n'

.PHONY: bench-check
bench-check: needs-go
	$(GO) vet -tags bench ./pkg/...
	cd bench && $(GO) vet ./... && $(GO) test ./...

.PHONY: rules-check
rules-check: needs-go build ## Check the alert rules and the dashboard with Prometheus's own parsers, let each alert fire and be silent, and ask the real programs
	cd test/rules && $(GO) vet ./... && CGO_ENABLED=0 ../../bin/billctl dev exec -- go test -count=1 ./...

.PHONY: spans-check
spans-check: needs-go ## Send spans of every sort to OpenTelemetry's own collector, and look at what it has read
	cd test/otlp && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: interop
interop: needs-go ## Compare the encryption with Node's, both ways
	bash pkg/vault/testdata/interop.sh

.PHONY: compose-test
compose-test: ## Prove the compose file: up from nothing, scaled, tasks done, stopped cleanly
	tools/compose-test.sh

.PHONY: clean
clean: ## Remove what was built; a development database in .dev/ stays
	rm -rf bin

.PHONY: needs-go
needs-go:
	@tools/needs.sh go

.PHONY: needs-cc
needs-cc:
	@tools/needs.sh cc

.PHONY: needs-curl
needs-curl:
	@tools/needs.sh curl
