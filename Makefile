# Two commands: `make demo` to see it work, `make test` to check it.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo test check clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

# Compiled kernels land in numba's cache beside the sources: once for each environment.
$(VENV)/.warm: $(VENV)/.installed
	$(BIN)/unseen warm-up
	touch $@

demo: $(VENV)/.warm
	$(BIN)/unseen demo

test: $(VENV)/.warm
	$(BIN)/python -m pytest --durations=10

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) unseen-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
