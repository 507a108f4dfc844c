# Tools are pinned here and run with "go run", so that nothing has to be installed
# and the module graph stays free of them.
SQLC        := CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Packages with concurrency worth watching. The grammars are left out: they are C.
RACE := ./db ./runner ./runner/webhook ./sql/test/...

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: bench-ingest
bench-ingest: build ## how fast DIR (Go's library) is ingested, and an edit found: files/s, CPU, memory, beside ctags
	@cd sql/test/bench && go run ./ingest -dir "$(or $(DIR),$$(go env GOROOT)/src)" -htdag "$(CURDIR)/bin/htdag"

.PHONY: build
build: ## build bin/htdag
	@go build -o bin/htdag ./cmd/htdag

.PHONY: up
up: build ## ingest DIR and watch it: make up DIR=path [ONCE=1] [CODEBASE=name] [DATABASE_URL=...]
	@test -n "$(DIR)" || { echo 'make up: name the source tree, as in  make up DIR=path/to/source' >&2; exit 2; }
	@bin/htdag up $(if $(ONCE),--once) $(if $(CODEBASE),--codebase "$(CODEBASE)") -- "$(DIR)"

.PHONY: psql
psql: build ## open psql on the database that "make up" uses
	@bin/htdag db psql

.PHONY: test
test: check unit bench-quick cases race e2e ## everything CI runs, cheap checks first

.PHONY: check
check: ## formatting, vet, static analysis, generated code
	@echo '== gofmt'
	@test -z "$$(gofmt -l . | tee -a /dev/stderr)"
	@echo '== sqlc'
	@$(SQLC) diff
	@echo '== vet'
	@go vet ./...
	@cd sql/test/bench && go vet ./...
	@echo '== staticcheck'
	@$(STATICCHECK) ./...

.PHONY: unit
unit: ## tests, on PostgreSQL servers that they start themselves
	@echo '== tests'
	@go test $$(go list ./... | grep -v -e /cmd/htdag$$ -e /watcher$$)
	@echo '== tests of the benchmark, a module of its own'
	@cd sql/test/bench && go test ./...
	@echo '== tests of the watcher, which has the machine to itself: it is about time'
	@go test ./watcher

# The same worlds each time, so that a red run can be run again; SEED=0 draws others.
SEED ?= 20261122

.PHONY: cases
cases: ## random worlds against the model of the engine, histories of trees against ingesting afresh; SEED=0 for new ones
	@echo '== cases'
	@go test ./db -run 'TestModel$$' -count=1 -timeout 25m -rapid.checks=2500 -rapid.steps=20 -rapid.seed=$(SEED)
	@echo '== histories of source trees'
	@go test ./runner/steps -run 'TestIncrementalEqualsFromScratch$$' -count=1 -timeout 25m -histories=2000 -rapid.seed=$(SEED)

.PHONY: law
law: ## the incremental law for many more histories of source trees: make law [HISTORIES=50000] [SEED=n]
	@go test ./runner/steps -run 'TestIncrementalEqualsFromScratch$$' -count=1 -timeout 0 -histories=$(or $(HISTORIES),50000) -rapid.seed=$(if $(filter command line,$(origin SEED)),$(SEED),0)

.PHONY: race
race: ## the concurrent packages again, under the race detector
	@echo '== tests with the race detector'
	@go test -race -short $(RACE)

.PHONY: e2e
e2e: ## the built binary, from the outside
	@echo '== end to end'
	@go test ./cmd/htdag

.PHONY: soak
soak: ## the watcher for ten minutes over 20,000 files, with processes killed; ARGS='-soak.seed=N -soak=20m'
	@go test ./cmd/htdag -run 'TestSoak$$' -count=1 -v -timeout 60m -args -soak=10m -soak.files=20000 $(ARGS)

.PHONY: figures
figures: ## what watching costs: start on 20,000 known files, memory of 10,000 directories, processor when idle
	@go test ./cmd/htdag -run 'TestFigures$$' -count=1 -v -timeout 30m -args -figures.files=20000 -figures.dirs=10000 -figures.idle=30s

.PHONY: accuracy
accuracy: build ## how right symbols, Go's calls and search are, against other parsers, go/types and doc comments
	@go run ./runner/ingest/lang/accuracy
	@go run ./sql/test/calls -htdag bin/htdag
	@go test ./sql/test/search -run '^$$' -bench 'Retrieval/words|Retrieval/search/hash-v1=0.05' -benchtime 1x -timeout 30m | grep -e '^Benchmark' -e FAIL

.PHONY: bench
bench: ## measure htdag beside other engines on PostgreSQL: make bench [ARGS='-sync both -json FILE ...']
	@cd sql/test/bench && go run . $(ARGS)

.PHONY: bench-quick
bench-quick: ## the benchmark at its smallest, to see that it works and that all results are right
	@echo '== benchmark, at its smallest'
	@cd sql/test/bench && go run . -quick -engines htdag,pgflow,floor $(if $(CI),-strict)

.PHONY: bench-depth
bench-depth: ## claims and completions in queues that are deep or old; ARGS=-long for full size
	@cd sql/test/bench && go run ./depth $(ARGS)

.PHONY: generate
generate: ## write generated files anew: queries, sql/schema.sql, costs of operations
	@$(SQLC) generate
	@go test ./db -run 'TestSchemaHasNoDrift|TestCost$$' -count=1 -update

.PHONY: clean
clean: ## remove what was built here
	@rm -rf bin
