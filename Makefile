# `make` alone says what there is. Everything runs in .venv; nothing is installed outside it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
# Two processes, file by file, in the order of the folders: the long tests with real processes come first.
PYTEST := $(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Prints a counter for each package that pip collects, and what goes wrong.
PROGRESS := awk '/^ *Collecting /{n++; printf "\r\033[K  %d packages: %s", n, $$2; fflush()} \
  /^Installing collected/{printf "\r\033[K  %d packages: installing", n; fflush()} \
  /ERROR|error:/{printf "\n%s", $$0} END{print ""}'

.PHONY: help setup demo up down test test-all check format openapi clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.local ## Make .venv with what `make demo` and `make up` need (once; again when the requirements change)

demo: .venv/.local ## Upload, train, download and use a model, from nothing (KIND=pose: poses instead of boxes; ZIP=path: your own data; KEEP=1: leave the stack running)
	@$(PY) -m deploy.local.demo $(if $(KIND),--kind "$(KIND)") $(if $(ZIP),--zip "$(ZIP)") $(if $(filter-out 0,$(KEEP)),--keep)

up: .venv/.local ## Start the service and keep it running: API on 127.0.0.1:8000, MLflow on 127.0.0.1:5000
	@exec $(PY) -m deploy.local.up

down: .venv/.local ## Stop what `make up` or `make demo KEEP=1` left running
	@$(PY) -m deploy.local.down

test: .venv/.dev ## Run the tests: unit, contract, integration, and a short e2e with real processes
	@$(PYTEST) -m "not slow"

test-all: .venv/.dev ## Run every test, the slow ones too (DARKROOM_TEST_DATA=folder adds the real datasets)
	@$(PYTEST)

check: .venv/.dev ## Check format, lint, types, import rules, migrations, OpenAPI snapshot and deploy files
	@deploy/local/check.sh

format: .venv/.dev ## Format the code and mend what the linter can
	@$(PY) -m ruff check -q --fix . && $(PY) -m ruff format -q .

openapi: .venv/.dev ## Write docs/openapi.json anew
	@$(PY) -m api.snapshot --write docs/openapi.json

clean: ## Remove .venv and caches; .darkroom, with your data, stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	@deploy/local/make_venv.sh

.venv/.local: .venv/bin/python requirements.txt requirements-worker.txt requirements-local.txt constraints.txt
	@echo "Installing what runs (about 3 GB with PyTorch: some minutes, once)"
	@$(PY) -m pip install -r requirements-local.txt | $(PROGRESS)
	@touch $@

.venv/.dev: .venv/.local requirements-dev.txt
	@echo "Installing what tests and checks"
	@$(PY) -m pip install -r requirements-dev.txt | $(PROGRESS)
	@touch $@
