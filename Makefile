# `make help` lists the targets. Set-up happens by itself: scripts/setup installs what is missing and costs nothing when nothing is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PURE := RINGKEEPER_DISABLE_COMPILED=1
COMPILED := RINGKEEPER_REQUIRE_COMPILED=1
SOAK_COMMANDS ?= 300000
SOAK_STREAMS ?= 1000000
SOAK_STEPS ?= 100000
SOAK_TABLE_STEPS ?= 1000000
SOAK_MINUTES ?= 30
SOAK_STEADY_MINUTES ?= 60
SOAK_CRASHES ?= 5000
SOAK_FAULTS ?= 500
SOAK_PARTITIONS ?= 500
SOAK_MIGRATIONS ?= 500
SOAK_MIGRATIONS_SEED ?= 0
SOAK_HISTORIES ?= 1000000
SOAK_SEED ?= 1000000
# The suites whose subjects are compiled: in the pure form too.
TWO_FORMS := resp types persist store commands cluster replication server repo
# A process of pytest for each processor; one that has nothing left takes over tests of another.
TEST := -m pytest -m "not soak" --numprocesses auto --maxprocesses 8 --dist worksteal

.NOTPARALLEL:
.PHONY: help setup build up status down test lint generate bench compat fuzz soak e2e e2e-full clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## prepare .venv and the compiled modules; install by apt-get what is missing
	@scripts/setup dev

build: ## compile the hot modules in place
	@scripts/setup build

up: ## start examples/quickstart.yaml on this machine, from nothing
	@scripts/setup run
	@.venv/bin/ringkeeper up -f examples/quickstart.yaml --detach

status: ## show the cluster that `make up` started
	@.venv/bin/ringkeeper status --name quickstart

down: ## stop it and leave nothing
	@[ ! -x .venv/bin/ringkeeper ] || .venv/bin/ringkeeper down --name quickstart

test: setup ## run the tests, hot modules in both forms
	$(PURE) $(PYTHON) $(TEST) --durations=20 $(wildcard $(addprefix tests/,$(TWO_FORMS)))
	$(COMPILED) $(PYTHON) $(TEST) --durations=30 tests

lint: setup ## ruff, mypy --strict, import layers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

generate: setup ## write the files that are made from code: CRD, chart, reference pages
	@scripts/generate

bench: setup ## measure everything beside Redis and Valkey in one run; BENCH='--quick' or BENCH='memory growth --write'
	$(COMPILED) $(PYTHON) bench/everything.py $(BENCH)

compat: setup ## read the RDB files of published packages, run the test suites of redis-py and fakeredis on Redis and here; COMPAT='--suite fakeredis --keyword zadd' for a part
	$(COMPILED) $(PYTHON) -m pytest --timeout 600 tests/compat/published_dumps.py
	$(COMPILED) $(PYTHON) tests/compat/run.py $(COMPAT)

fuzz: setup ## feed the parsers mutated streams and payloads, in both forms
	$(PURE) $(PYTHON) tests/resp/fuzz.py --streams 50000 --seed 1
	$(COMPILED) $(PYTHON) tests/resp/fuzz.py --streams 50000 --seed 1
	$(PURE) $(PYTHON) tests/persist/fuzz.py --payloads 50000 --seed 1
	$(COMPILED) $(PYTHON) tests/persist/fuzz.py --payloads 50000 --seed 1
	$(COMPILED) $(PYTHON) tests/persist/fuzz_files.py --files 50000 --seed 1

soak: setup ## the long runs: a million fuzzed streams in each form, 300,000 commands a group beside Redis and Valkey, 5,000 crashes, a million simulated failovers and a quarter of a million moves of slots (go on with SOAK_SEED), 500 faults of real processes, 500 schedules of partitions and 500 of faults during moves (go on with SOAK_MIGRATIONS_SEED), busy keys that are spread, an hour of full load without a failover, half an hour at maxmemory
	$(COMPILED) $(PYTHON) tests/resp/fuzz.py --streams $(SOAK_STREAMS) --seed 0
	$(PURE) $(PYTHON) tests/resp/fuzz.py --streams $(SOAK_STREAMS) --seed 0
	$(COMPILED) $(PYTHON) tests/persist/fuzz.py --payloads $(SOAK_STREAMS) --seed 0
	$(COMPILED) $(PYTHON) tests/persist/fuzz_files.py --files $(SOAK_STREAMS) --seed 0
	$(PURE) $(PYTHON) tests/persist/fuzz.py --payloads $(SOAK_STREAMS) --seed 0
	$(COMPILED) $(PYTHON) tests/persist/fuzz.py --payloads $(SOAK_STREAMS) --seed 1 --beside redis
	$(COMPILED) $(PYTHON) tests/persist/fuzz.py --payloads $(SOAK_STREAMS) --seed 2 --beside valkey
	$(COMPILED) $(PYTHON) tests/differential/run.py --commands $(SOAK_COMMANDS) --seed 0
	$(COMPILED) $(PYTHON) tests/differential/sessions.py --steps $(SOAK_STEPS) --seed 0
	$(COMPILED) $(PYTHON) tests/differential/acl.py --steps $(SOAK_STEPS) --seed 0
	$(COMPILED) $(PYTHON) tests/crash/run.py --cycles $(SOAK_CRASHES) --seed 0
	$(COMPILED) $(PYTHON) tests/simulation/run.py --histories $(SOAK_HISTORIES) --seed $(SOAK_SEED)
	$(COMPILED) $(PYTHON) tests/simulation/run.py --moves --histories $$(( $(SOAK_HISTORIES) / 4 )) --seed $(SOAK_SEED)
	RINGKEEPER_FAULTS=$(SOAK_FAULTS) $(COMPILED) $(PYTHON) -m pytest tests/integration/test_fencing.py
	RINGKEEPER_PARTITIONS=$(SOAK_PARTITIONS) $(COMPILED) $(PYTHON) -m pytest tests/partitions
	$(COMPILED) $(PYTHON) tests/migrations/run.py --schedules $(SOAK_MIGRATIONS) --seed $(SOAK_MIGRATIONS_SEED)
	$(COMPILED) $(PYTHON) bench/steady.py --minutes $(SOAK_STEADY_MINUTES)
	$(COMPILED) $(PYTHON) bench/soak.py --minutes $(SOAK_MINUTES)
	RINGKEEPER_TABLE_STEPS=$(SOAK_TABLE_STEPS) $(COMPILED) $(PYTHON) -m pytest --timeout 7200 tests/store/test_table.py
	RINGKEEPER_TABLE_STEPS=100000 scripts/sanitize tests/store tests/types tests/resp tests/persist
	$(COMPILED) $(PYTHON) -m pytest -m soak --timeout 7200 tests

e2e: setup ## a real Kubernetes (kind): images, chart, quickstart, faults; from nothing, and deleted again
	e2e/run -m "not full"

e2e-full: setup ## the same, and what takes longer: hosts that hang or are drained, masters spread again, many shards, an autoscaler
	e2e/run

clean: ## remove what building and testing left (not .venv)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find node operator tests -name __pycache__ -prune -exec rm -rf {} +
	find node -name '*.so' -delete
	rm -f node/ringkeeper/_compiled.json
