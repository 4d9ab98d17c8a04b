# `make` alone lists the commands. Everything runs in .venv; nothing is installed outside it.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
# Processes take test files in the order of the folders: the long tests with real processes come before the unit tests.
# Files that share a server or libraries go to one process (tests/conftest.py).
# Three on two cores, as many tests wait for servers and children; the slow ones measure times and use both cores.
# COVERAGE=1 measures the lines that run in these processes; `make coverage` reports them.
PYTEST := $(PY) -m pytest -q --dist loadfile --no-loadscope-reorder
MEASURE := $(if $(COVERAGE),--cov --cov-append --cov-report= --cov-fail-under=0)
export PYTHONUNBUFFERED := 1
export PYTHONDONTWRITEBYTECODE :=  # empty, also where it is set: else each process compiles every module again
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Prints a counter of the packages that pip collects, and its errors.
PROGRESS := awk '/^ *Collecting /{n++; printf "\r\033[K  %d packages: %s", n, $$2; fflush()} \
  /^Installing collected/{printf "\r\033[K  %d packages: installing", n; fflush()} \
  /ERROR|error:/{printf "\n%s", $$0} END{print ""}'

.PHONY: help setup demo up down test test-slow test-all coverage check format openapi screenshots clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.local .venv/.pages ## Create .venv with what `make demo` and `make up` need (again when the requirements change)

demo: .venv/.local .venv/.pages ## Upload, train, predict, replace the model that answers (KIND=pose: classification instead of detection; ZIP=path: your own data; KEEP=1: leave the stack running)
	@$(PY) -m deploy.local.demo $(if $(KIND),--kind "$(KIND)") $(if $(ZIP),--zip "$(ZIP)") $(if $(filter-out 0,$(KEEP)),--keep)

up: .venv/.local .venv/.pages ## Start the service and keep it running: API and predictions on 127.0.0.1:8000, MLflow on 127.0.0.1:5000
	@exec $(PY) -m deploy.local.up

down: .venv/.local ## Stop the stacks that `make up` or `make demo KEEP=1` started
	@$(PY) -m deploy.local.down

test: .venv/.dev ## Run the tests: unit, contract, integration, and a short e2e with real processes
	@$(if $(COVERAGE),rm -f .coverage)
	@$(PYTEST) $(MEASURE) -n 3 -m "not slow"

test-slow: .venv/.dev ## Run the slow tests alone (DARKROOM_TEST_DATA=folder adds real datasets and hostile corpora)
	@$(PYTEST) $(MEASURE) -n 2 -m slow

test-all: ## Run every test, the slow ones too, and check the coverage floor
	@$(MAKE) COVERAGE=1 test test-slow coverage

coverage: .venv/.dev ## Report the coverage of the last run with COVERAGE=1; fails below the floor in pyproject.toml
	@$(PY) -m coverage report

check: .venv/.dev ## Check format, lint, types, import contracts, migrations, OpenAPI snapshot and deploy files
	@deploy/local/check.sh

format: .venv/.dev ## Format the code and apply the fixes of the linter
	@$(PY) -m ruff check -q --fix . && $(PY) -m ruff format -q .

openapi: .venv/.dev ## Regenerate docs/openapi.json
	@$(PY) -m api.snapshot --write docs/openapi.json
	@$(PY) -m serving.snapshot --write docs/openapi-serving.json

screenshots: .venv/.dev ## Make the README's screenshots of the pages, from the demo's data (about 5 minutes; needs Chromium)
	@$(PY) -m deploy.local.screenshots

clean: ## Remove .venv and caches; .darkroom, with your data, stays
	@rm -rf api/pages/static/vendor api/pages/vendor/node_modules
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

.venv/bin/python:
	@deploy/local/make_venv.sh

.venv/.local: .venv/bin/python requirements.txt requirements-worker.txt requirements-local.txt requirements-pages.txt constraints.txt client/pyproject.toml
	@echo "Installing the runtime packages (about 3 GB with PyTorch: some minutes, once)"
	@$(PY) -m pip install -r requirements-local.txt | $(PROGRESS)
	@touch $@

# Without a network the pages have no charts, and everything else works: the next call tries again.
PAGES := $(addprefix api/pages/vendor/,package.json package-lock.json .npmrc __main__.py)
.venv/.pages: .venv/.local $(PAGES)
	@echo "Fetching the scripts of the pages"
	@if $(PY) -m api.pages.vendor; then touch $@; fi

.venv/.dev: .venv/.local requirements-dev.txt $(PAGES) | .venv/.pages
	@echo "Installing the packages for tests and checks"
	@$(PY) -m pip install -r requirements-dev.txt | $(PROGRESS)
	@if $(PY) -m api.pages.vendor --dev; then touch .venv/.pages; fi
	@touch $@
