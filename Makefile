# make demo   the main job on three real papers       make test       all quick tests, as CI runs them
# make lab    JupyterLab on the notebooks             make test-slow  the long ones
# make figures  the committed figures, from a demo run
# Each of them first makes .venv and installs the pinned requirements, once.
#
# A smaller torch without CUDA:  make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Another Python (3.11 or 3.12): make demo PYTHON=/usr/bin/python3.12

VENV ?= .venv
TORCH_INDEX ?=
CHECK_PYTHON = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3 python3.11 python3.12; do \
	$$python -c '$(CHECK_PYTHON)' >/dev/null 2>&1 && echo $$python && break; done)

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
QUIET := HF_HUB_OFFLINE=1 TQDM_DISABLE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TOKENIZERS_PARALLELISM=false
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=300
WORKERS ?= 2  # processes of the quick tests; a file's tests and a notebook's cells stay together

.PHONY: demo test test-slow lab figures bench gpu clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/python -m sciqag_lib.run params/demo.yaml

test: $(INSTALLED)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(QUIET) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not gpu" $(NBVAL) notebooks tests

test-slow: $(INSTALLED)
	$(QUIET) $(BIN)/python -m pytest -m "slow and not gpu" tests

lab: $(INSTALLED)
	$(BIN)/jupyter lab notebooks

figures: $(INSTALLED)
	$(BIN)/python -m sciqag_lib.run params/demo.yaml
	cp runs/demo/03_question_similarity/figures/* runs/demo/04_sentence_coverage/figures/* figures/
	$(BIN)/python figures/make_figures.py

# All but question_writing.py, which trains for up to 20 minutes and needs a reader; modules that others import do nothing.
bench: $(INSTALLED)
	for script in $(filter-out benchmarks/question_writing.py, $(wildcard benchmarks/*.py)); do $(QUIET) $(BIN)/python $$script || exit 1; done

# The extra for a CUDA device: flash-attn, liger-kernel, bitsandbytes.
gpu: $(INSTALLED)
	$(PIP) --no-build-isolation -r requirements-gpu.txt

# torch comes first: deepspeed and flash-attn look for it while they are built.
$(INSTALLED): requirements.txt requirements-nodeps.txt requirements-hashed.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or 3.12 with venv found. Install one, or name it: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c '$(CHECK_PYTHON)' || { echo "$(PYTHON): expected Python 3.11 or 3.12 with venv"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps -r requirements-nodeps.txt
	$(PIP) --no-deps --require-hashes -r requirements-hashed.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf .pytest_cache .hypothesis *.egg-info build
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
