# Every target is one or two commands that can also be typed. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := common auth cleanup gateway jobs metadata transcriber models native
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard */pyproject.toml */*/pyproject.toml))
TESTS := $(wildcard libs/*/tests services/*/tests models/tests deploy/native/tests tests)
MODEL ?= base
WORKERS ?= 3
PYTEST_ARGS ?=
PYTEST = $(BIN)/pytest -n $(WORKERS) --no-loadscope-reorder $(PYTEST_ARGS)
DEPTRY = $(BIN)/deptry --no-ansi --package-module-name-map verbatim-common=common,verbatim-models=models

.DEFAULT_GOAL := help
.PHONY: help setup dev models demo up down status migrate migration backup restore test lint lint-types lint-rest fmt contracts settings lock coverage changelog \
	test-unit test-integration test-e2e test-chaos test-web soak fuzz bench clean clean-data

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what running the platform needs (.venv, locked packages, the message broker)
	@$(PYTHON) scripts/setup.py

dev: ## Install what the tests and linters need as well (torch, openai-whisper)
	@$(PYTHON) scripts/setup.py --dev

models: setup ## Download a Whisper model and the voice detector to MODEL_DIR (MODEL=base)
	@$(BIN)/python -m models get $(MODEL)

demo: models ## A recording in, its transcript out (FILE=path for your own, KEEP=1 leaves the platform running)
	@$(BIN)/python -m native demo $(if $(FILE),"$(FILE)")

up: models ## Start the platform and stay; Ctrl-C stops it (DETACH=1 returns when it is ready)
	@$(BIN)/python -m native up $(if $(DETACH),--detach)

down: ## Stop the platform from another terminal
	@$(BIN)/python -m native down

status: ## Show what runs, where, and whether it is healthy
	@$(BIN)/python -m native status || test $$? -eq 3

migrate: setup ## Bring the four database schemas up to date (`make up` does it at every start)
	@$(BIN)/python -m native migrate

migration: dev ## Write the next migration of a service from its tables (SERVICE=jobs MESSAGE="add a column")
	@$(BIN)/python scripts/migration.py "$(SERVICE)" "$(MESSAGE)"

backup: setup ## Back up accounts, jobs and files of the platform, also while it runs (FILE=path)
	@$(BIN)/python -m native backup "$(or $(FILE),$(error say where: make backup FILE=path))"

restore: setup ## Restore a backup into a state folder where no platform has run yet (FILE=path)
	@$(BIN)/python -m native restore "$(or $(FILE),$(error say which: make restore FILE=path))"

test: lint test-web ## Linters, types, contracts; the page's own tests; unit, integration and end-to-end tests; a short soak (all faults: test-chaos)
	@$(BIN)/python -m models get $(MODEL)
	$(PYTEST) -m "not chaos or soak"

lint: dev ## Format, lint, types, import contracts, declared dependencies, golden documents, lock
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint-types lint-rest

lint-types:
	$(BIN)/mypy -n 2 $(foreach package,$(PACKAGES),-p $(package))
	$(BIN)/mypy -n 2 $(TESTS) scripts

lint-rest:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@for member in $(MEMBERS); do $(DEPTRY) $$member/src --config $$member/pyproject.toml || exit 1; done
	$(BIN)/python scripts/contracts.py --check
	$(BIN)/python scripts/settings.py --check
	$(BIN)/python scripts/lock.py --check
	$(BIN)/pytest -q tests/contract/test_documents.py

fmt: dev ## Format the code and the Markdown, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/wrap_markdown.py

contracts: dev ## Write the golden documents again: event schemas, AsyncAPI, event table
	$(BIN)/python scripts/contracts.py

settings: dev ## Write docs/settings.md again
	$(BIN)/python scripts/settings.py

lock: dev ## Pin the dependencies again after a change (needs the network)
	$(BIN)/python scripts/lock.py

coverage: dev ## The tests of `make test` and the lines that they run; not in `make test`, because it costs a third more processor time
	@$(BIN)/python -m models get $(MODEL)
	$(PYTEST) -m "not chaos or soak" --cov

changelog: dev ## Show the next entry of CHANGELOG.md; VERSION=1.2.0 writes it and removes its fragments
	@$(BIN)/towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version next)

test-unit: dev ## Tests that need nothing but the code
	$(PYTEST) -m "not integration and not e2e and not chaos"

test-web: dev ## The web page's own tests; they need Node.js
	@if [ -d web/node_modules ]; then cd web && npm test --silent; \
	else echo "No Node.js here: the web page's own tests are not run."; fi

test-integration: dev ## Each member against real PostgreSQL, RabbitMQ and object store, started by the run
	@$(BIN)/python -m models get $(MODEL)
	$(PYTEST) -m "integration and not e2e and not chaos"

test-e2e: dev ## The whole platform through the gateway, with real Whisper
	@$(BIN)/python -m models get $(MODEL)
	$(PYTEST) -m e2e

test-chaos: dev ## Every fault by itself, injected into a fleet that these tests have for themselves
	$(BIN)/pytest tests/chaos $(PYTEST_ARGS)

soak: dev ## Random faults against a stream of jobs (SECONDS=600 SEED=7 ENGINE=canned)
	PYTHONPATH=tests $(BIN)/python -m bench.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ENGINE),--engine $(ENGINE))

fuzz: dev ## Decode recordings broken at random (SECONDS=600 SEED=1)
	FUZZ_SECONDS=$(or $(SECONDS),600) FUZZ_SEED=$(or $(SEED),1) $(BIN)/pytest tests/hostile/test_fuzzed_recordings.py -s

bench: dev models ## Measure against the budgets
	PYTHONPATH=tests $(BIN)/python -m bench

clean: ## Remove caches, build products and leftovers of tests; data, .venv and models stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage web/dist .verbatim/test-*
	find . -name __pycache__ -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

clean-data: down ## Delete every job, account and object of this checkout's platform
	rm -rf .verbatim
