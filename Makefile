# Two commands do everything on a fresh machine: `make repro` and `make test`.
# Each makes the virtual environment first if there is none.
VENV ?= .venv
PYTHON ?= python3
BIN := $(abspath $(VENV))/bin
# DVC's stages call `python`: this must be the environment's.
RUN := PATH="$(BIN):$$PATH" MLFLOW_DISABLE_TELEMETRY=true
# More test processes than CPUs only slow each other down.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help install repro test results folder lint types check format clean

help: ## list what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

install: $(VENV)/installed ## make the virtual environment and nothing else

repro: $(VENV)/installed ## run the whole pipeline (data set: data.name in params.yaml), print the table
	@echo "Running the pipeline: dvc repro"
	@$(RUN) dvc repro
	@$(RUN) srpipe show
	@echo "Pictures: metrics/evaluate/*.png, metrics/train/*.png. Next: README.md, 'Next steps'."

test: $(VENV)/installed ## run the tests, offline, on the CPU
	@echo "Running the tests ($(JOBS) at a time)"
	@$(RUN) OMP_NUM_THREADS=1 pytest -n $(JOBS) --dist loadgroup

results: folder $(VENV)/installed ## score the released models: make results FOLDER=hr [PUBLISHED=netG_4x_epoch5.pth.tar]
	@$(RUN) python -m srpipe.evaluation.comparison "$(FOLDER)" $(if $(PUBLISHED),--published "$(PUBLISHED)")

folder:
	@test -d "$(FOLDER)" || \
	  { echo "error: give a folder of HR radiographs: make results FOLDER=PATH [PUBLISHED=FILE]"; exit 1; }

lint: $(VENV)/installed ## check style and formatting (ruff)
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .

types: $(VENV)/installed ## check types (mypy)
	@$(RUN) mypy

check: lint types test ## lint, types and tests

format: $(VENV)/installed ## format the code
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

clean: ## remove the virtual environment
	rm -rf $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1): Python 3.11 or later is needed. Install it, or name one: make PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment $(VENV) (once; 6.5 GB and a few minutes)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "error: $(PYTHON) cannot make a virtual environment. On Debian/Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing pinned packages (torch alone is 3 GB; nothing is printed meanwhile)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $@
