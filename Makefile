# What can be done with this repository. `make help` lists it.

# One version for both binaries; artifacts carry it.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

MODULES := schema pkg toolkit runtime examples

LDFLAGS := -s -w -X github.com/microgw/microgw/pkg/buildinfo.version=$(VERSION)
# Without the repository's state in the binary: git refuses to tell it where the
# folder belongs to somebody else, as in some containers.
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# The race detector needs a C compiler; Go says 0 where it finds none.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

TOOLS := bin/tools

.DEFAULT_GOAL := build
.PHONY: build image demo test allocations check lint vet format tidy standalone generate generated fuzz bench corpus clean help

build: ## Build bin/micro-gw and bin/runtime (the default)
	$(GOBUILD) -o bin/micro-gw ./toolkit/cmd/micro-gw
	$(GOBUILD) -o bin/runtime ./runtime/cmd/runtime

image: bin/linux/runtime ## Build the Docker image of the runtime alone, micro-gw:latest
	$(GOBUILD) -o bin/micro-gw ./toolkit/cmd/micro-gw
	bin/micro-gw image --runtime-binary bin/linux/runtime

# For the engine's machine, whatever this one is.
.PHONY: bin/linux/runtime
bin/linux/runtime:
	GOOS=linux $(GOBUILD) -o $@ ./runtime/cmd/runtime

demo: build ## Build a petstore project, serve it and call it
	scripts/demo.sh

test: ## Run all tests, with the race detector where it works
	go test $(RACE) work

allocations: ## Tests of what must not allocate: the race detector does, so `make test` leaves them out
	cd runtime && go test -count=1 -run Alloc ./internal/engine ./internal/telemetry ./internal/policy/jwt

check: lint allocations test fuzz ## All that CI runs

lint: format vet generated standalone tidy ## Checks that run nothing: format, vet, staticcheck, generated code, modules

format:
	@out=$$(gofmt -l $(MODULES) tools); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }

vet: $(TOOLS)/staticcheck
	go vet work
	$(TOOLS)/staticcheck work
	cd tools && GOWORK=off go vet ./... && GOWORK=off ../$(TOOLS)/staticcheck ./... && GOWORK=off go test ./...

# Each module also stands alone: its go.mod names all it needs.
standalone:
	@for m in $(MODULES); do echo "GOWORK=off go build -mod=readonly ./... in $$m"; \
		(cd $$m && GOWORK=off go build -mod=readonly ./... && GOWORK=off go vet -mod=readonly ./...) || exit 1; done

tidy:
	@for m in $(MODULES) tools; do (cd $$m && GOWORK=off go mod tidy -diff) || exit 1; done

generate: $(TOOLS)/schemagen ## Write the generated code anew
	$(TOOLS)/schemagen -root schema

generated: $(TOOLS)/schemagen
	$(TOOLS)/schemagen -root schema -check

# Versions of the tools are pinned in tools/go.mod, which is not part of go.work
# so that what they need never mixes with what the product needs.
$(TOOLS)/%: tools/go.mod tools/go.sum $(wildcard tools/schemagen/*.go)
	cd tools && GOWORK=off go build -o ../$(TOOLS)/ tool ./schemagen

fuzz: ## Run every fuzz target for a short time (FUZZTIME=5s each)
	scripts/fuzz.sh

bench: build ## Measure the runtime beside nginx and HAProxy; writes docs/performance.md
	scripts/bench.sh $(BENCHFLAGS)

corpus: build ## Build 2,700 real definitions and print a table (CORPUSFLAGS=sample: a sample)
	scripts/corpus.sh $(CORPUSFLAGS)

clean: ## Remove what was built
	rm -rf bin dist

help: ## Print this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done
