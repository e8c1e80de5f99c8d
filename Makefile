# Two commands matter: `make lab` and `make test`. Both make .venv and install what they need first.
# Needs python3 >= 3.11 with venv; a C compiler and the GMP headers are checked for, and installed where that is allowed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ONLY ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A swarm is many processes: each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: lab test lint bench pictures install clean
.DEFAULT_GOAL := lab

lab: install
	@$(BIN)/grapevine lab up topologies/plant-8.toml

# Tests that start whole swarms of processes have the machine to themselves.
test: install lint
	@$(PYTHON) tests/tools/prerequisites.py --tests
	$(BIN)/pytest -n auto --dist worksteal -m "not processes"
	$(BIN)/pytest -m processes

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

# libp2p 0.8.1 pins fastecdsa, which has no Linux wheel and compiles against GMP.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) tests/tools/prerequisites.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a few minutes the first time."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build runs *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
