# Each target makes its own virtual environment on first use and runs from it, without network, ever after.
PYTHON ?= python3
ARGS ?=

.PHONY: help demo test lint docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo   a Go1 with an unknown payload and soft gains adapts and climbs stairs (no torch; ARGS='--help' for options)"
	@echo "make test   all tests (ARGS='-k name' for some)"
	@echo "make lint   ruff check, ruff format --check, pyright"
	@echo "make docs   the documentation as a site in site/, built without network; a broken link is an error"
	@echo "make clean  remove the virtual environments and caches"

demo: .venv-demo/.ready
	.venv-demo/bin/dmcm demo $(ARGS)

test: .venv/.ready
	OMP_WAIT_POLICY=passive .venv/bin/python -m pytest $(ARGS)

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright --pythonpath .venv/bin/python

docs: .venv-docs/.ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

.venv-demo/.ready: EXTRAS = sim,view
.venv-docs/.ready: EXTRAS = docs
.venv/.ready: EXTRAS = sim,train,dev

# .ready is a copy of the pyproject.toml that was installed: a newer file with the same content needs no pip.
.venv/.ready .venv-demo/.ready .venv-docs/.ready: pyproject.toml
	@if cmp -s pyproject.toml $@; then touch $@; else \
	  set -e; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "This needs Python 3.11 or newer, and '$(PYTHON)' is not: name one, e.g. make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	    exit 1; }; \
	  $(@D)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(@D); \
	  echo "Installing into $(@D) (once)"; \
	  $(@D)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'; \
	  cp pyproject.toml $@; \
	fi

clean:
	rm -rf .venv .venv-demo .venv-docs site .pytest_cache .ruff_cache .hypothesis *.egg-info
