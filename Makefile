# One command each on a fresh clone: `make demo` plays, `make test` proves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench calibrate clean

demo: $(VENV)/.installed
	$(BIN)/errata compare chess --model tiny --arms baseline,resample,critique \
		--episodes 40 --horizon 60 --seed 1 --out runs/demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# Everything that is checked: tests, linters, types, import contracts.
check: test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/tiny_speed.py
	$(BIN)/python benchmarks/million_rows.py

# The measurement on simulated truth, with its coverage table.
calibrate: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/calibrate.py

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
