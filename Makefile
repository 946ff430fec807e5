# Serai. `make` alone lists the targets.

GO         ?= go
VERSION    ?= 0.1.0-dev
LDFLAGS    := -s -w -X github.com/seraiproject/serai/core/version.Version=$(VERSION)
PLUGINS    := exec raw_exec wasm
WASM       := http filter
# Without gRPC's tracing pages: 3 MB less in each binary.
TAGS       := -tags grpcnotrace
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build plugins examples demo test check vet lint race fuzz bench e2e e2e-deps generate licences clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: plugins examples ## bin/serai, bin/plugins/* and bin/examples/*
	CGO_ENABLED=0 $(GO) build -trimpath $(TAGS) -ldflags '$(LDFLAGS)' -o bin/serai ./cmd/serai

plugins: $(PLUGINS:%=plugin-%)
plugin-%:
	$(GO) build -trimpath $(TAGS) -ldflags '-s -w' -o bin/plugins/$* ./cmd/serai-driver-$*

examples: $(WASM:%=wasm-%)
wasm-%:
	GOOS=wasip1 GOARCH=wasm $(GO) build -trimpath -ldflags '-s -w' -o bin/examples/$*.wasm ./examples/wasm/$*

demo: ## build all, start an agent and watch two jobs run (needs root and a C compiler)
	@scripts/demo

test: ## unit, golden, property, simulation and end-to-end tests with the real binaries (as root)
	@scripts/need root cc
	$(GO) test ./...

check: vet lint race generate-check licences ## all that CI checks beside the tests

vet:
	$(GO) vet ./...
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "not gofmt'ed:"; echo "$$out"; exit 1; }

lint: ## staticcheck
	$(GO) run $(STATICCHECK) ./...

race: ## the tests of concurrent packages under the race detector
	@scripts/need root cc
	$(GO) test -race -short ./core/... ./pluginsdk/...

fuzz: ## each fuzz test for a while (FUZZTIME=30s)
	scripts/fuzz $(or $(FUZZTIME),30s)

bench: ## the figures of docs/figures.md, in domain units (as root)
	scripts/bench

e2e-deps: ## install and start the container engines and emulators (Debian)
	scripts/e2e-deps

e2e: ## end-to-end tests, also those in a cgroup v2 guest under qemu (after e2e-deps)
	@scripts/need root cc
	$(GO) test -count=1 ./test/e2e/...
	$(GO) test -tags guest -count=1 -timeout 15m ./test/guest/...

generate: ## rewrite generated code
	$(GO) generate ./...
	pluginsdk/proto/generate.sh

generate-check:
	scripts/generate-check

licences: ## list the licences of what is linked; fail on one we do not take
	scripts/licences

clean: ## remove what was built
	rm -rf bin
