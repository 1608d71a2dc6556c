# `make run` and `make test` need Python 3.11, git and a network; everything else they install.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
INSTALLED := $(VENV)/installed
APT := $(if $(filter 0,$(shell id -u)),apt-get,sudo -n apt-get)

.DEFAULT_GOAL := help
.PHONY: help setup run test integration test-all lint docs bench mnist vgg samples browser database azurite lock clean

help:  ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: $(INSTALLED)  ## Install the project into .venv

LOCKS := requirements.lock requirements-dev.lock

$(INSTALLED): $(LOCKS) pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Quartet needs Python 3.11: install it, or say PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing into $(VENV); a few minutes the first time"
	@$(PYTHON) -m venv $(VENV) || { $(APT) update && $(APT) install -y python3.11-venv && $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$(LOCKS))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

run: setup  ## Run all scenarios on the committed samples
	$(BIN)/kedro run

# A file of tests runs on one worker, so that it makes its projects and servers once. In the order of
# their names short files come last, and the workers end together.
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -rs

# Each worker has a core: threads of BLAS and OpenMP would only wait for each other, spinning. Tests
# start Python hundreds of times: it keeps what it compiles, whatever the environment says.
test integration: export OPENBLAS_NUM_THREADS := 1
test integration: export OMP_NUM_THREADS := 1
test integration: export PYTHONDONTWRITEBYTECODE :=

test: setup lint  ## Check style, types and imports, and run the quick tests
	$(PYTEST) -m "not integration"

integration: setup browser database azurite  ## Run the tests that need a browser, a server, a notebook or a project
	$(PYTEST) -m integration

test-all: test integration  ## Run everything

lint: export MYPY_NUM_WORKERS := $(WORKERS)
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup  ## Write the generated blocks of the pages, and build the site into site/, strictly
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: setup  ## Measure against the reference recipes and rewrite docs/benchmarks.md
	$(BIN)/pytest tests/benchmarks --benchmarks

mnist: setup  ## Fetch the real MNIST into data/01_raw/mnist_original
	$(BIN)/kedro fetch mnist

vgg: setup  ## Fetch VGG-19's weights, by which styles are learned, into data/01_raw/style
	$(BIN)/kedro fetch vgg

samples: setup  ## Remake the committed samples
	$(BIN)/kedro run --pipelines sample_data

# The tests open Kedro-Viz in a browser. Where none can be installed they say so and skip.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit; done; \
	  { $(APT) update -qq && $(APT) install -qq -y chromium >/dev/null; } \
	  || echo "No Chromium and no right to install it: the browser tests will be skipped" >&2

# The tests of the sensors' tables start a MariaDB of their own, over ODBC; Microsoft's driver wants
# libltdl. The server's core will do, and starts no service on this machine.
DATABASE := unixodbc odbc-mariadb mariadb-server-core mariadb-client-core libltdl7

database:
	@dpkg -s $(DATABASE) >/dev/null 2>&1 && exit; \
	  { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends $(DATABASE) >/dev/null; } \
	  || echo "No MariaDB and ODBC and no right to install them: tests of the real database will be skipped" >&2

# Azurite, Microsoft's emulator of blob storage, for `kedro cloud rehearse` and the tests.
AZURITE := azurite@3.37.0

azurite:  ## Install the emulator of blob storage into .venv; wants Node.js
	@command -v npm >/dev/null || { echo "No npm, so no Azurite: install Node.js 20 or later; tests of blob storage will be skipped" >&2; exit 0; }; \
	  grep -qs '"version": "$(AZURITE:azurite@%=%)"' $(VENV)/azurite/node_modules/azurite/package.json && exit; \
	  echo "Installing Azurite into $(VENV); a minute or two"; \
	  npm install --no-save --no-audit --no-fund --silent --prefix $(VENV)/azurite $(AZURITE) \
	  || echo "Azurite could not be installed: tests of blob storage will be skipped" >&2

lock: setup  ## Write what is installed into the two lock files
	$(BIN)/python .ci/lock.py

clean:  ## Remove everything that is made
	rm -rf $(VENV) site mlflow.db mlartifacts
	git clean -fdXq data
