# Two targets do all the set-up: `make demo` and `make test`. Nothing but make and Python 3.11, 3.12 or 3.13 is needed.
# The first of these that runs here and is of a supported version (a name that is a mere shim does not run).
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell $(name) -c '$(SUPPORTED)' 2>/dev/null && echo $(name))))
BIN := .venv/bin
# DeepSpeed's operations are compiled on demand and training on CPU uses none of them
INSTALL := DS_BUILD_OPS=0 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q -c constraints.txt

.PHONY: demo families test test-long check format bench clean help

help:  ## what there is to do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

demo: .venv/installed  ## raw text to an evaluated checkpoint on this machine, in a few minutes
	$(BIN)/bloomery run configs/demo.yaml

families: .venv/installed  ## every model family with one budget, English and Chinese, and a page (under 45 minutes)
	@test -d "$${BLOOMERY_DATA:-../shared/data}/corpora" || \
	  { echo "$${BLOOMERY_DATA:-../shared/data}/corpora is not there; name the data's folder: BLOOMERY_DATA=/path/to/data make families"; exit 2; }
	$(BIN)/bloomery compare configs/families.yaml

test: .venv/installed-dev  ## the tests (under 15 minutes on 2 cores)
	$(BIN)/python -m pytest -q

test-long: .venv/installed-dev  ## the tests that train, kill and resume, too (under 60 minutes)
	$(BIN)/python -m pytest -q -m "long or not long"

check: .venv/installed-dev  ## style and types; fast enough for a commit hook
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/installed-dev  ## let ruff put things in order
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: .venv/installed-dev  ## every benchmark, one after the other; tables on the console
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

.venv/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || \
	  { echo "Bloomery needs Python 3.11, 3.12 or 3.13; $(if $(PYTHON),$(PYTHON) is none of them,none was found). Name one: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing Bloomery and its pinned packages (about 2 GB; a minute or two)"
	@$(INSTALL) -e '.[all]'
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "installing what the tests need"
	@$(INSTALL) -e '.[dev]'
	@touch $@

clean:  ## remove the environment and every work directory's scratch
	rm -rf .venv work .pytest_cache .mypy_cache .ruff_cache
