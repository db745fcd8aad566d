# make torture: hours of attempts to break it.
# make demo: all stages on the project's own reviews.  make test: the suite.  make check: lint, types, suite.
# Python is the newest of these that runs (a name on the PATH may be an empty shim) and can make an
# environment; uv installs where there is one. make PYTHON=..., make UV= (none) choose otherwise.
UV ?= $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(CHECK)' 2>/dev/null && echo $$python && break; done)
CHECK = import sys$(if $(UV),,, ensurepip); sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
NO_PYTHON = No Python 3.11, 3.12 or 3.13 with venv and ensurepip was found. Install one (Debian, Ubuntu: \
	python3 and python3-venv), or name it: make PYTHON=/path/to/python
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

ifeq ($(UV),)
NEW_VENV = $(or $(PYTHON),$(error $(NO_PYTHON))) -m venv
INSTALL = $(BIN)/python -m pip install
else
NEW_VENV = $(UV) venv --quiet --seed --python $(or $(PYTHON),3.13)
INSTALL = $(UV) pip install --python $(BIN)/python
endif

.PHONY: demo test check lint clean torture

# Created once: a Python found later must not replace it.
$(BIN)/python:
	$(NEW_VENV) $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/attar run recipes/quickstart.toml

test: $(STAMP)
	$(BIN)/python -m pytest

# Hours: tries to break what docs/reliability.md promises, and writes torture/torture.md.
torture: $(STAMP)
	$(BIN)/python benchmarks/torture.py --out torture

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

clean:
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
