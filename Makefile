# Every target does its own set-up; a machine needs Python 3.11 to 3.13 and make.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
RUN := PYTHONPATH=. $(VENV)/bin/python
UV := .uv/bin/uv
UV_PIN := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' deploy/uv.txt)

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(UV): deploy/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Liftlake needs Python 3.11 to 3.13; $(PYTHON) is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv .uv
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/uv.txt

$(VENV)/.synced: $(UV) pyproject.toml uv.lock
	@$(UV) sync --locked --quiet --compile-bytecode --python $(PYTHON)
	@ln -sf ../../cli/liftlake $(VENV)/bin/liftlake
	@touch $@

setup: $(VENV)/.synced ## Install the locked dependencies into .venv

demo: setup ## Build the demo lake, or bring it up to date
	@$(VENV)/bin/liftlake demo

ui: setup ## Open the Dagster UI on the lake
	@$(VENV)/bin/liftlake up

down: setup ## Stop the lake's Spark server
	@$(VENV)/bin/liftlake down

lint: setup ## Format, lint, types, import rules, generated files
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/pyright
	@PYTHONPATH=. $(VENV)/bin/lint-imports
	@$(VENV)/bin/liftlake contract build --check

test-fast: setup ## Unit, property and graph tests (no JVM)
	@$(RUN) -m pytest -m "not spark and not e2e"

test: lint ## Everything that CI runs
	@$(RUN) -m pytest

certify: setup ## The lakes that CI has no time for (a market, a second retailer, a topic, a cluster, thirty late weeks, a month in another order, an archive, a new token key), all kills, twenty times the sequences, mutated files and examples, statistical laws in full, 12,345 faults in 10 million rows, 250 kills between commits
	@LIFTLAKE_CERTIFY=1 $(RUN) -m pytest -s tests/property tests/unit tests/integration/test_delivery_sequences.py tests/integration/test_mutated_files.py tests/integration/test_planted_faults.py tests/integration/test_champions.py tests/e2e
	@$(VENV)/bin/liftlake bench crash --rounds 1-10

.PHONY: help setup demo ui down lint test-fast test certify
