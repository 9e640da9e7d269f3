# make help says what there is to make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help lab test lint bench measure badges setup colab test-verl bench-gpu

# The first of these that is Python 3.11 to 3.13 and can make environments; or say PYTHON=/path/to/python.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
  "$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
  && echo "$$p" && break; done)
BIN := .venv/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo "  make measure KEY   run the full declared grid of one paper and store its verdict, e.g. make measure pessimism-lcb"
	@echo
	@echo "  make lab ARGS=--no-browser    pass arguments on to JupyterLab"
	@echo "  make lab TORCH_INDEX=...      take torch from that pip index, e.g. PyTorch's CPU builds (see README.md)"
	@echo "  make lab PYTHON=...           use that Python, 3.11 to 3.13"

setup: .venv/.ready ## make .venv and install the tested versions

.venv/.ready: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
	  echo "No Python 3.11, 3.12 or 3.13 with venv found; install one (Debian: python3 and python3-venv) or say PYTHON=..." >&2; \
	  exit 1; fi
	@echo "Setting up .venv with $$($(PYTHON) --version), the versions of constraints.txt: 2 to 4 minutes, once."
	@$(PYTHON) -m venv .venv
	@echo "  torch ..."
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") torch
	@echo "  rlkit, JupyterLab and the test tools ..."
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e ".[torch,control,lm,tasks,trl,qlora,lab,test]"
	@touch $@

lab: .venv/.ready ## open JupyterLab on notebooks/00_start_here.ipynb
	@echo "JupyterLab answers on this machine only (127.0.0.1); open the URL with the token below. Stop it with Ctrl-C."
	@exec $(BIN)/python -m jupyterlab --ServerApp.ip=127.0.0.1 --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
	  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

# Colab's frozen versions, in an environment of their own, on the same Python.
colab: .venv-colab/.ready
.venv-colab/.ready: tests/colab/requirements.txt .venv/.ready
	@echo "Setting up .venv-colab, the versions that Colab has: about a minute, once."
	@$(BIN)/python -m venv .venv-colab
	@.venv-colab/bin/python $(PIP_INSTALL) --no-deps -r tests/colab/requirements.txt -e .
	@touch $@

# One pytest for everything, two items at a time. One thread per process: two processes share the machine.
test: .venv/.ready .venv-colab/.ready ## lint, unit tests, Colab's versions, a browser, and every notebook
	@echo "Running lint, unit tests, Colab's versions, the browser and every notebook, two at a time."
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder --nbmake --nbmake-kernel=python3 --nbmake-timeout=300 \
	  tests notebooks $(ARGS)

# Not part of make test: 2 GB that check only what rlkit.rlvr.verl.export_verl writes.
test-verl: .venv-verl/.ready ## load an export for verl with verl's own data set, rewards and losses
	OMP_NUM_THREADS=1 .venv-verl/bin/python -m pytest -q --noconftest -p no:cacheprovider tests/verl/check_export.py $(ARGS)
.venv-verl/.ready: tests/verl/requirements.txt .venv/.ready
	@echo "Setting up .venv-verl, what verl imports, with an older transformers: about two minutes, once."
	@$(BIN)/python -m venv .venv-verl
	@.venv-verl/bin/python $(PIP_INSTALL) -c tests/verl/requirements.txt $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)") torch
	@.venv-verl/bin/python $(PIP_INSTALL) --no-deps -r tests/verl/requirements.txt -e .
	@touch $@

lint: .venv/.ready ## ruff, the order of the rooms, and the rules for notebooks
	$(BIN)/python -m pytest -q tests/test_lint.py tests/test_layers.py tests/notebooks/test_lint.py $(ARGS)

bench: .venv/.bench ## print how fast the kit is beside others, measured in one run
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench $(ARGS)
.venv/.bench: .venv/.ready
	@echo "Installing what the benchmarks compare with (mabwiser)."
	@$(BIN)/python $(PIP_INSTALL) -c constraints.txt -e ".[bench]"
	@touch $@

bench-gpu: .venv/.ready ## measure QLoRA on a GPU beside TRL; where there is none, small shapes on the CPU
	@$(BIN)/python -m tests.bench.gpu $(ARGS)

badges: .venv/.ready ## write Colab badge and setup cell into every notebook, take outputs out
	@$(BIN)/python -m tests.notebooks.badges

# make measure KEY: the word after measure is the paper's key, not a target.
ifeq (measure,$(firstword $(MAKECMDGOALS)))
KEY := $(wordlist 2,2,$(MAKECMDGOALS))
ifneq (,$(KEY))
.PHONY: $(KEY)
$(KEY): measure ; @:
endif
endif
measure: .venv/.ready
	@OMP_NUM_THREADS=1 $(BIN)/python -m rlkit.measure $(KEY) $(ARGS)
