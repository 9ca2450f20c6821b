# Every target sets up .venv by itself; needs Python 3.11 with venv, make, and libgomp (for LightGBM).
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

# Compiled modules are kept: without them every one of the many processes compiles dbt anew (3 s each).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint bench build accept docs clean

demo: .venv/ready
	@$(BIN)/trademl demo

test: .venv/ready
	$(PYTEST) -m "not accept" -n 2 --dist loadfile

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.house_rules
	TRADEML_DATA=target/lint $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar dbt_project/models tests/data

bench: .venv/ready
	@$(BIN)/python -m tests.bench

build: .venv/ready
	@$(BIN)/trademl build

accept: .venv/ready
	$(PYTEST) -m accept --durations=0

docs: .venv/ready
	$(BIN)/dbt docs generate --static

clean:
	rm -rf .venv target build *.egg-info

.venv/ready: requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" sh .ci/setup
	@touch $@
