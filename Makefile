# make demo    the main job, on real data, over simulated sites
# make lab     the first notebook in JupyterLab
# make test    lint, types, layers and tests (ARGS="-k ledger" goes to pytest)
# make binder  build the environment of binder/ in build/binder and run all notebooks there
# make bench   list the benchmarks; NAME=imports runs one, NAME=all every one (ARGS=--quick)
#
# Each makes the environment that it needs in .venv; Python >= 3.11 and make are all it takes.

VENV ?= .venv
BIN := $(VENV)/bin
NAME ?=
ARGS ?=

# Processes that may not keep their bytecode start several times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo lab test lint format bench binder clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make/make/p' Makefile

demo: $(VENV)/.user
	$(BIN)/gridnb demo $(ARGS)

lab: $(VENV)/.user
	$(BIN)/jupyter lab $(firstword $(sort $(wildcard notebooks/*.ipynb))) $(ARGS)

test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(NAME) $(ARGS)

$(VENV)/.user: pyproject.toml scripts/env
	scripts/env $(VENV) demo,notebook
	touch $@

$(VENV)/.dev: pyproject.toml scripts/env
	scripts/env $(VENV) demo,notebook,test,lint,bench
	touch $@

binder:
	rm -rf build/binder
	scripts/binder.py build/binder

clean:
	rm -rf $(VENV) build dist demo test-artefacts .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
