# Two targets do all the set-up: `make demo` and `make test`. Nothing but make and Python 3.11, 3.12 or 3.13 is needed.
# The first of these that runs here and is of a supported version (a name that is a mere shim does not run).
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell $(name) -c '$(SUPPORTED)' 2>/dev/null && echo $(name))))
BIN := .venv/bin
# DeepSpeed compiles its operations on demand; CPU training uses none of them
INSTALL := DS_BUILD_OPS=0 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -q -c constraints.txt

.PHONY: install-cuda demo families test test-long test-cluster chaos fuzz check format bench clean help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

demo: .venv/installed  ## train a small model from raw text on this machine (a few minutes)
	$(BIN)/bloomery run configs/demo.yaml

families: .venv/installed  ## compare all model families on English and Chinese text (under 45 minutes)
	@test -d "$${BLOOMERY_DATA:-../shared/data}/corpora" || \
	  { echo "$${BLOOMERY_DATA:-../shared/data}/corpora does not exist. Set the folder of the data: BLOOMERY_DATA=/path/to/data make families"; exit 2; }
	$(BIN)/bloomery compare configs/families.yaml

test: .venv/installed-dev  ## run the tests, two files at a time (under 15 minutes on 2 cores)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-long: .venv/installed-dev  ## run all tests but those of test-cluster, including long ones that train and kill
	$(BIN)/python -m pytest -q -m "not hosts"

test-cluster: .venv/installed-dev  ## run the tests on three hosts made of namespaces and an S3 server (needs root)
	$(BIN)/python -m pytest -q -m "long or not long" tests/support tests/cluster/hosts tests/cluster/launchers/test_hosts.py

PLACE ?= cluster
RUNS ?= 50
chaos: .venv/installed-dev  ## kill processes at random in 50 runs; PLACE=local, s3 or cluster; resumable
	$(BIN)/python -m tests.chaos --place $(PLACE) --runs $(RUNS)

MUTATIONS ?= 10000
fuzz: .venv/installed-dev  ## let every reader read 10,000 damaged copies of a valid file; MUTATIONS=n; resumable
	$(BIN)/python -m tests.fuzz --mutations $(MUTATIONS)

check: .venv/installed-dev  ## check style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: .venv/installed-dev  ## format and fix the code with ruff
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: .venv/installed-dev  ## run all benchmarks
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

install-cuda: | .venv/bin/python  ## install for NVIDIA GPUs (CUDA 13; several GB), as the CUDA image does
	@$(subst constraints.txt,constraints-cuda.txt,$(INSTALL)) -e '.[all,s3,submit]'
	@touch .venv/installed

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
	@echo "installing the test dependencies"
	@$(INSTALL) -e '.[dev]'
	@touch $@

clean:  ## remove the environment, `work` and caches
	rm -rf .venv work .pytest_cache .mypy_cache .ruff_cache
