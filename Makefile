# Two commands do everything on a fresh machine: `make repro` and `make test`.
# Each makes the virtual environment first if there is none.
VENV ?= .venv
PYTHON ?= python3
BIN := $(abspath $(VENV))/bin
# DVC's stages call `python`: this must be the environment's.
RUN := PATH="$(BIN):$$PATH" MLFLOW_DISABLE_TELEMETRY=true
# More test processes than CPUs only slow each other down.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# A virtual environment works only where it was made, and this one has this folder installed in it.
# After a move both names are of other places, or of none.
MOVED := $(shell test -e "$(VENV)/installed" || exit 0; \
  (. "$(VENV)/bin/activate"; test "$$VIRTUAL_ENV" -ef "$(VENV)") 2>/dev/null || { echo venv; exit 0; }; \
  test ! -s "$(VENV)/installed" || test "$$(cat "$(VENV)/installed")" -ef . || echo folder)

.DEFAULT_GOAL := help
.NOTPARALLEL: # what is checked first shall come first
.PHONY: help install repro test results app repository folder lint types check format clean
ifneq ($(MOVED),)
.PHONY: $(VENV)/installed
endif

help: ## list what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

install: $(VENV)/installed ## make the virtual environment and nothing else

repro: repository $(VENV)/installed ## run the whole pipeline (data set: data.name in params.yaml), print the table
	@echo "Running the pipeline: dvc repro"
	@$(RUN) dvc repro
	@$(RUN) srpipe show
	@echo "Pictures: metrics/evaluate/*.png, metrics/train/*.png. Next: README.md, 'Next steps'."

test: $(VENV)/installed ## run the tests, offline, on the CPU
	@echo "Running the tests ($(JOBS) at a time)"
	@$(RUN) OMP_NUM_THREADS=1 pytest -n $(JOBS) --dist loadgroup

results: folder $(VENV)/installed ## score the released models: make results FOLDER=hr [PUBLISHED=netG_4x_epoch5.pth.tar]
	@$(RUN) python -m srpipe.evaluation.comparison "$(FOLDER)" $(if $(PUBLISHED),--published "$(PUBLISHED)")

app: $(VENV)/installed ## open the web page: http://localhost:8501
	@$(RUN) python -m streamlit run app/page.py

repository:
	@command -v git > /dev/null || \
	  { echo "error: git is not installed, and DVC, which runs the pipeline, needs it. On Debian/Ubuntu: apt install git"; exit 1; }
	@why=$$(git rev-parse --verify HEAD 2>&1 > /dev/null) || \
	  { echo "error: this folder is no git repository with a commit, which DVC, which runs the pipeline, needs ($$why)."; \
	    echo "Clone the project instead of unpacking an archive of it, or make the folder a repository:"; \
	    echo "  git init && git add . && git commit -m 'Start'"; exit 1; }

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
	rm -rf "$(VENV)"

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1): Python 3.11 or later is needed. Install it, or name one: make PYTHON=python3.12"; exit 1; }
	$(if $(filter venv,$(MOVED)),@echo "$(VENV) was made in another place and does not work here: it is made again")
	@echo "Making the virtual environment $(VENV) (once; 7 GB and a few minutes)"
	@$(PYTHON) -m venv $(if $(filter venv,$(MOVED)),--clear) "$(VENV)" || \
	  { echo "error: $(PYTHON) cannot make a virtual environment. On Debian/Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing pinned packages (torch alone is 3 GB; nothing is printed meanwhile)"
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  --constraint constraints.txt --editable '.[dev]'
	@pwd > "$@"
