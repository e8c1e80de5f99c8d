# Two commands matter: `make lab` and `make test`. Both make .venv and install what they need first.
# Needs python3 >= 3.11 with venv; a C compiler and the GMP headers are checked for, and installed where that is allowed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONLY ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A swarm is many processes: each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab test units lint bench pictures install clean
.DEFAULT_GOAL := lab

lab: install
	@$(BIN)/grapevine lab up topologies/plant-8.toml

# Types are checked on one core while tests begin on the others. Tests that start whole swarms of processes come last, two
# at a time: a lab that starts, or draws its report, leaves a core idle.
test: install
	@$(PYTHON) tests/tools/prerequisites.py --tests
	@$(MAKE) --no-print-directory -j2 lint units
	$(BIN)/pytest -n 2 --dist worksteal -m processes

units: install
	$(BIN)/pytest -n auto --dist worksteal -m "not processes"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m tests.benchmarks $(ONLY)

# The pictures of the README: a run of the default lab, seen by the console and by a browser.
pictures: install
	$(BIN)/python -m tests.tools.pictures

install: $(VENV)/.installed

# libp2p 0.8.1 pins fastecdsa, which has no Linux wheel and compiles against GMP. Of 13,000 modules 3,000 are ever imported:
# those are compiled, by being imported once.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) tests/tools/prerequisites.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes the first time."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	@$(BIN)/python -c 'import node.cli.main, node.console.app, node.device, node.lab.child'
	@touch $@

clean:
	rm -rf $(VENV) build runs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
