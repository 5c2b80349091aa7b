# DistilGrid: `make` alone lists what can be made.

VENV ?= .venv
CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
PORT ?= 5000
TEST_PROCESSES ?= 3
PYTEST_ARGS ?=
LOCK_ARGS ?=

PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
CHECKED := $(wildcard src tests scripts benchmarks setup.py)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install runtimes reproduce test test-unit test-all lint format ui dvc-sync dvc-pull lock dist clean

# The workflow's rules call `python -m distilgrid`.
export PATH := $(abspath $(VENV))/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export ITERATIVE_DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Without byte code, every job takes twice as long to import transformers.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s  %s\n", $$1, $$2}'
	@printf '\nVariables: CORES=%s  VENV=%s  PORT=%s  TEST_PROCESSES=%s  PYTEST_ARGS="-k name"\n' '$(CORES)' '$(VENV)' '$(PORT)' '$(TEST_PROCESSES)'

install: $(STAMP) ## Set up the locked environment in .venv (about two minutes, once)

$(STAMP): pyproject.toml requirements/lock.txt requirements/torch.txt scripts/setup_env.sh
	@scripts/setup_env.sh $(VENV)
	@touch $@

runtimes: install ## Add OpenVINO, ExecuTorch and LiteRT to the environment (1 GB)
	@scripts/setup_runtimes.sh $(VENV)

reproduce: install ## Run the default grid from data to report, or continue where it stopped
	@$(PY) -m distilgrid plan --cores $(CORES) | tail -n 1
	@snakemake --cores $(CORES) -- all
	@$(PY) -m distilgrid publish

test: install ## Run the quick tests in TEST_PROCESSES processes
	@$(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-unit: install ## Run the tests that train nothing
	@$(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "unit and not slow" $(PYTEST_ARGS)

test-all: install ## Run every test, the slow ones too
	@$(PY) -m pytest -m "" $(PYTEST_ARGS)

lint: install ## Check style, types, file sizes and workflow; a file must be known to Git to be checked
	@pre-commit run --all-files --show-diff-on-failure
	@snakemake --lint

format: install ## Put style right where a tool can
	@ruff check --fix $(CHECKED)
	@ruff format $(CHECKED)
	@snakefmt Snakefile src/distilgrid/workflow

ui: install ## Browse the tracked runs in MLflow on 127.0.0.1
	@$(PY) -m distilgrid track --uri sqlite:///results/mlflow.db
	@mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 --backend-store-uri sqlite:///results/mlflow.db

dvc-sync: install ## Record the results of the workflow in DVC
	@$(PY) -m distilgrid verify --part --cells 0
	@$(PY) -m distilgrid publish
	@dvc commit -f

dvc-pull: install ## Bring the results that dvc.lock names, and check them
	@dvc pull
	@$(PY) -m distilgrid verify --part --cells 0

lock: install ## Resolve requirements/lock.txt from pyproject.toml (LOCK_ARGS=--upgrade for the newest of all)
	@scripts/lock.sh $(LOCK_ARGS)

dist: install ## Build the wheel and the sdist into dist/
	@rm -rf build dist
	@uv build --quiet --python $(PY) --out-dir dist
	@ls dist

clean: ## Remove caches; the environment and the results stay
	@rm -rf .mypy_cache .pytest_cache .ruff_cache build dist src/*.egg-info
	@find $(CHECKED) -name __pycache__ -prune -exec rm -rf {} +
