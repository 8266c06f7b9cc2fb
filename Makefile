# Every command sets up what it needs: a virtual environment of its own in .venv, from pinned versions. Nothing but Python 3.11+ and make
# has to be there.

VENV ?= .venv
BIN := $(VENV)/bin
# What DDPM is measured against (dlt) and checked with (pandas) has an environment of its own: nothing of it reaches DDPM.
PEERS ?= .venv-peers
# The first interpreter that is new enough; `make PYTHON=...` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Constraints hold for what is installed and for what builds it.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
# An index that is slow or stumbles is asked again.
export PIP_DEFAULT_TIMEOUT ?= 60
export PIP_RETRIES ?= 10
# A virtual environment that happens to be active must not leak in.
unexport VIRTUAL_ENV
unexport PYTHONPATH
# Without bytecode every command compiles a hundred modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo run reset test test-thorough test-integration-plugin test-streams test-unit test-integration test-kills test-logline lint format bench bench-smoke docs clean
.DELETE_ON_ERROR:

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## Load a shipped Avro file of 20,000 real flights into DuckDB, and ask it something
	@rm -f demo.duckdb demo.duckdb.wal
	$(BIN)/ddpm ingest --format avro test_data/flights.avro --to demo.duckdb
	$(BIN)/ddpm query --db demo.duckdb "select carrier, count(*) as flights, round(avg(arr_delay), 1) as mean_delay from flights group by carrier order by flights desc limit 10"

run: $(VENV)/.dev ## Start a local Kafka and Postgres, and run examples/pipeline-manager until Ctrl+C
	@$(MAKE) --no-print-directory -C examples/pipeline-manager run DDPM=$(abspath $(BIN)/ddpm)

reset: $(VENV)/.dev ## End the pipeline of `make run` and the local Kafka and Postgres, and delete what they hold
	@$(MAKE) --no-print-directory -C examples/pipeline-manager reset DDPM=$(abspath $(BIN)/ddpm)

test: $(VENV)/.dev $(PEERS)/.peers ## Run every unit and integration test; starts the services it needs itself
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit
	DDPM_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m pytest tests/integration

test-unit: $(VENV)/.dev ## Run the unit tests only: quick, no services
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit

test-thorough: $(VENV)/.dev ## Run the unit tests with every example that they can try
	DDPM_THOROUGH=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/unit

test-integration: $(VENV)/.dev $(PEERS)/.peers ## Run the tests against real services only
	DDPM_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m pytest tests/integration

test-kills: $(VENV)/.dev ## Kill 100 ingests into DuckDB and 100 into Postgres at random moments
	DDPM_KILLS=100 $(BIN)/python -m pytest tests/integration/test_kills.py -s

test-integration-plugin: $(VENV)/.dev ## Send the golden messages of one format through Kafka, `ddpm run` and Postgres: format=json
	@$(BIN)/python -m tests.installed_formats "$(format)"
	DDPM_FORMAT="$(format)" $(BIN)/python -m pytest tests/integration/test_format_harness.py

test-streams: $(VENV)/.dev ## Kill a stream 200 times, and cut off 1,000 COMMITs
	DDPM_STREAM_KILLS=200 DDPM_CUT_COMMITS=1000 $(BIN)/python -m pytest tests/integration/test_streams.py -s --timeout 3000

lint: $(VENV)/.dev ## Check style, types and the floors between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev $(PEERS)/.peers ## Measure speed and memory against bare libraries and dlt, as ratios in one run
	DDPM_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m benchmarks

bench-smoke: $(VENV)/.dev $(PEERS)/.peers ## Run every benchmark once on little data: they still work
	DDPM_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/python -m benchmarks --smoke

docs: $(VENV)/.dev ## Write the generated parts of the documentation anew
	$(BIN)/python docs/generate.py

clean: ## Remove the virtual environment and what the demo made
	rm -rf $(VENV) $(PEERS) .build demo.duckdb demo.duckdb.wal .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer was found; name one with PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(PEERS)/.peers: benchmarks/peers.txt
	@echo "Installing what DDPM is measured against and checked with into $(PEERS), apart from it"
	$(PYTHON) -m venv $(PEERS)
	PIP_CONSTRAINT= $(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing DDPM with pinned versions into $(VENV): half a minute or so, once"
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing DDPM and the tools of its developers into $(VENV): a minute or so, once"
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
