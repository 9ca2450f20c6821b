# Every target sets up .venv by itself; needs Python 3.11 with venv, make, and libgomp (for LightGBM).
PYTHON ?= python3.11
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

# Compiled modules are kept: without them every one of the many processes compiles dbt anew (3 s each).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check test unit lint bench build accept docs clean
.PHONY: lint-style lint-types lint-imports lint-rules lint-sql

demo: .venv/ready
	@$(BIN)/trademl demo

# What one runs while working: lint beside the unit tests.
check: .venv/ready
	@$(MAKE) --no-print-directory -j 2 lint unit

# All but the long list. Whoever has nothing left to do takes over what another has not begun.
test: .venv/ready
	$(PYTEST) -m "not accept" -n 2 --dist worksteal

unit: .venv/ready
	$(PYTEST) -m "not accept" tests/unit tests/rules

lint: lint-types lint-sql lint-style lint-imports lint-rules

lint-types: .venv/ready
	$(BIN)/mypy

lint-sql: .venv/ready
	TRADEML_DATA=target/lint $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar dbt_project/models tests/data

lint-style: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-imports: .venv/ready
	$(BIN)/lint-imports

lint-rules: .venv/ready
	$(BIN)/python -m tests.rules.house_rules

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
