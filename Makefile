# `make run` and `make test` need Python 3.11, 3.12 or 3.13, git and a network, and install everything
# else. Wheels are checked against the hashes in the lock files.

# The newest Python found. pyenv may name interpreters that do not exist, so each is run.
PYTHONS := 3.13 3.12 3.11
PYTHON ?= $(shell for version in $(PYTHONS); do \
	  python$$version -c "" 2>/dev/null && command -v python$$version && exit; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2
APT := $(if $(filter 0,$(shell id -u)),apt-get,sudo -n apt-get)

# PyTorch for CPUs, or TORCH=cuda: PyPI's wheel for Linux, with gigabytes of CUDA. The CPU wheel comes
# from PyTorch's own index, unless pip's environment variables set another source.
TORCH ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
CPU_WHEELS ?= $(if $(PIP_EXTRA_INDEX_URL)$(PIP_FIND_LINKS),,https://download.pytorch.org/whl/cpu)

.DEFAULT_GOAL := help
.PHONY: help setup run test integration test-all lint docs bench mnist vgg samples browser database azurite lock clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|'

# The core, for the scenarios on files and SQLite.
CORE := $(VENV)/core
# The core, all extras available for this Python, and the developer tools.
INSTALLED := $(VENV)/installed

setup: $(INSTALLED)  ## Install the project with all extras and the developer tools into .venv

# An existing environment keeps its Python.
$(VENV)/python:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && touch $@ && exit; \
	  test -n "$(PYTHON)" || { echo "Quartet needs Python 3.11, 3.12 or 3.13: install one, or set PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(v not in "$(PYTHONS)".split() and f"Quartet needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v}")' || exit 1; \
	  echo "Creating $(VENV) with $$($(PYTHON) --version) ($(PYTHON)); another: rm -r $(VENV), then PYTHON=/path/to/python"; \
	  $(PYTHON) -m venv $(VENV) || { $(APT) update && $(APT) install -y $(notdir $(PYTHON))-venv && $(PYTHON) -m venv --clear $(VENV); } || exit 1; \
	  touch $@

$(CORE): LOCKS := requirements-core.lock
$(INSTALLED): LOCKS := requirements.lock requirements-dev.lock
$(CORE): requirements-core.lock
$(INSTALLED): requirements.lock requirements-dev.lock
$(CORE) $(INSTALLED): $(VENV)/python pyproject.toml
	@echo "Installing into $(VENV): $(LOCKS)"
ifeq ($(shell uname -s)-$(TORCH),Linux-cpu)
	@sed -n '/^torch==/,/[^\\]$$/ s/^\(torch==[^ ]*\)/\1+cpu/p; /^torch==/,/[^\\]$$/ s/^ /&/p' $(firstword $(LOCKS)) > $(VENV)/torch.txt
	@$(PIP) --no-deps $(addprefix --extra-index-url ,$(CPU_WHEELS)) -r $(VENV)/torch.txt \
	  || { echo "No CPU wheel of PyTorch for this Python was found: check the network, or set TORCH=cuda" >&2; exit 1; }
endif
	@$(PIP) --no-deps $(addprefix -r ,$(LOCKS)) $(if $(filter cuda,$(TORCH)),-r requirements-cuda.lock)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

run: $(CORE)  ## Run all scenarios on the committed samples
	$(BIN)/kedro run

# A file of tests runs on one worker, so that it creates its projects and servers once. The long
# files of tests/repository run first (tests/conftest.py), and short ones last, due to their names.
# A test that hangs is stopped after half an hour, and its stack is printed.
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --timeout 1800 -rs

# Each worker has one core: several threads of BLAS and OpenMP would only spin-wait. Tests start
# Python hundreds of times, so it always caches bytecode, whatever the environment sets.
test integration: export OPENBLAS_NUM_THREADS := 1
test integration: export OMP_NUM_THREADS := 1
test integration: export PYTHONDONTWRITEBYTECODE :=

test: setup lint  ## Check style, types and imports, and run the quick tests
	$(PYTEST) -m "not integration"

integration: setup browser database azurite  ## Run the tests that need a browser, a server, a notebook or a project
	$(PYTEST) -m integration

test-all: test integration  ## Run everything

# Without the extra azure, as on Python 3.13, the types of its packages are unknown.
WITHOUT_AZURE := --ignore-missing-imports --allow-subclassing-any --no-warn-unused-ignores
UNTYPED = $(if $(wildcard $(VENV)/lib/python*/site-packages/kedro_azureml),,$(WITHOUT_AZURE))

lint: export MYPY_NUM_WORKERS := $(WORKERS)
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(UNTYPED)
	$(BIN)/lint-imports

docs: setup  ## Write the generated blocks of the pages, and build the site into site/, strictly
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: setup  ## Measure against the reference recipes and rewrite docs/benchmarks.md
	$(BIN)/pytest tests/benchmarks --benchmarks

mnist: $(CORE)  ## Fetch the real MNIST into data/01_raw/mnist_original
	$(BIN)/kedro fetch mnist

vgg: $(CORE)  ## Fetch VGG-19's weights, which style training needs, into data/01_raw/style
	$(BIN)/kedro fetch vgg

samples: $(CORE)  ## Regenerate the committed samples
	$(BIN)/kedro run --pipelines sample_data

# The tests open Kedro-Viz in a browser. If none can be installed, they are skipped with a message.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit; done; \
	  { $(APT) update -qq && $(APT) install -qq -y chromium >/dev/null; } \
	  || echo "Chromium is missing and could not be installed: the browser tests will be skipped" >&2

# The tests of the sensor tables start their own MariaDB server and connect by ODBC; Microsoft's
# driver needs libltdl. The core package of the server suffices, and installs no service.
DATABASE := unixodbc odbc-mariadb mariadb-server-core mariadb-client-core libltdl7

database:
	@dpkg -s $(DATABASE) >/dev/null 2>&1 && exit; \
	  { $(APT) update -qq && $(APT) install -qq -y --no-install-recommends $(DATABASE) >/dev/null; } \
	  || echo "MariaDB or ODBC is missing and could not be installed: tests of the real database will be skipped" >&2

# Azurite, Microsoft's emulator of blob storage, for `kedro cloud rehearse` and the tests.
AZURITE := azurite@3.37.0

azurite:  ## Install the emulator of blob storage into .venv; needs Node.js
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later to get Azurite; tests of blob storage will be skipped" >&2; exit 0; }; \
	  grep -qs '"version": "$(AZURITE:azurite@%=%)"' $(VENV)/azurite/node_modules/azurite/package.json && exit; \
	  echo "Installing Azurite into $(VENV); this takes a minute or two"; \
	  npm install --no-save --no-audit --no-fund --silent --prefix $(VENV)/azurite $(AZURITE) \
	  || echo "Azurite could not be installed: tests of blob storage will be skipped" >&2

lock: setup  ## Write the lock files from pyproject.toml
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/lock.py

clean:  ## Remove .venv, the MLflow database, the built site and all ignored files in data
	rm -rf $(VENV) site mlflow.db mlartifacts
	git clean -fdXq data
