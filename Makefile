# Each target sets up its own .venv once (again when pyproject.toml changed) and is quick afterwards.
# Without make (Windows): README.md gives the same steps as single commands.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready
WORKERS ?= 2
# one thread a test process: two of them would otherwise fight for the cores
TESTS := OMP_NUM_THREADS=1 $(RUN) pytest -n $(WORKERS) --dist worksteal

.PHONY: help setup course test check lab release-check

help:
	@echo "make course         set up, then run every notebook; executed copies in runs/course"
	@echo "make test           set up, then every test"
	@echo "make check          set up, then lint and unit tests"
	@echo "make lab            set up, then JupyterLab on the notebooks"
	@echo "make release-check  set up, then each notebook alone with a wheel built here"
	@echo "PYTHON=... chooses the interpreter for $(VENV) (3.10 or newer; now: $(PYTHON))"

setup: $(READY)

$(READY): pyproject.toml
	@echo "Setting up $(VENV): PyTorch and the rest, several GB and some minutes the first time"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "$(PYTHON) is older than Python 3.10; give another: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(RUN) pip install --disable-pip-version-check --editable ".[widget,course,data,dev]"
	@touch $(READY)
	@echo "$(VENV) is ready"

course: $(READY)
	@$(RUN) simpleclick_lite.cli course

test: $(READY)
	$(TESTS)

check: $(READY)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(TESTS) -m "not notebook and not browser"

lab: $(READY)
	$(RUN) jupyter lab --notebook-dir=notebooks $(LAB_OPTIONS)

release-check: $(READY)
	$(VENV)/bin/python tools/release_check.py
