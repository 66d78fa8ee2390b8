# Two commands on a fresh machine: "make run" and "make test". Both set up what they need in .venv
# and work again without the network; setup is repeated only when setup.cfg or pyproject.toml change.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Processes that the tests are spread over, two for a core, since many of them wait for servers;
# 0 runs them in one, which shows their output.
WORKERS ?= $(shell expr 2 \* $$(nproc))

.DEFAULT_GOAL := help
.PHONY: help setup run test faults lint format bench clean distclean sdk-reference deb deb-test docs pins release versions

help:
	@echo 'make run     run the server on http://127.0.0.1:3000, state in ./var'
	@echo 'make test    run the whole test suite   (make test ARGS="tests/config -k port")'
	@echo 'make faults  hurt real servers for long, and judge what they kept (IMD_FAULTS_SEEDS, _SECONDS)'
	@echo 'make lint    ruff and mypy              (make format mends what ruff can)'
	@echo 'make bench   ratios against floors and peers (make bench ARGS="--quick", "--only load")'
	@echo 'make docs    the manual, in build/docs'
	@echo 'make deb     the Debian package in dist/  (make deb-test tries it in a bare Debian, as root)'
	@echo 'make release what is published of HEAD, in dist/release'
	@echo 'make versions  the oldest and the newest libraries allowed, tried (needs the network)'
	@echo 'make pins    the wheels of the package, pinned anew from setup.cfg (ARGS=--upgrade: the newest)'
	@echo 'make setup   only set up .venv, for all of the above'
	@echo 'make clean   remove what building and testing left; make distclean .venv too'

$(VENV)/.venv-stamp:
	@command -v $(PYTHON) >/dev/null || \
	  { echo 'imd needs Python 3.11 or newer, and there is no "$(PYTHON)" on the PATH.' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "imd needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo 'imd needs the venv module of $(PYTHON) (on Debian: apt install python3-venv).' >&2; exit 1; }
	@echo 'Setting up $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run-stamp: setup.cfg pyproject.toml | $(VENV)/.venv-stamp
	@$(PIP) --editable '.[postgres,redis]'
	@touch $@

$(VENV)/.test-stamp: setup.cfg pyproject.toml $(VENV)/.run-stamp
	@$(PIP) --editable '.[postgres,redis,test]'
	@touch $@

$(VENV)/.docs-stamp: setup.cfg pyproject.toml $(VENV)/.run-stamp
	@$(PIP) --editable '.[postgres,redis,docs]'
	@touch $@

$(VENV)/.release-stamp: setup.cfg pyproject.toml $(VENV)/.run-stamp
	@$(PIP) --editable '.[release]'
	@touch $@

setup: $(VENV)/.test-stamp

run: $(VENV)/.run-stamp
	@exec $(BIN)/twistd -n --pidfile= imd $(ARGS)

# What docs/sdk.md, sdk.zh.md and the SDK's types take from elsewhere: comments, routes, the SRI hash.
sdk-reference: setup
	@$(BIN)/python docs/sdk_reference.py

test: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# One pytest process: the runs want the machine for themselves.
faults: setup
	@IMD_FAULTS_SEEDS=$${IMD_FAULTS_SEEDS:-5} IMD_FAULTS_SECONDS=$${IMD_FAULTS_SECONDS:-60} \
	  IMD_FAULTS_MUTANTS=$${IMD_FAULTS_MUTANTS:-all} \
	  $(BIN)/python -m pytest tests/faults tests/e2e/test_versions.py -q $(ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: setup
	@$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/.docs-stamp
	@$(BIN)/sphinx-build -W --keep-going -q -b html -d build/doctrees docs build/docs

# Built from a copy, so that nothing of it stays here but the wheels that it fetched.
deb:
	@debian/build

deb-test:
	@debian/deb-test

# What is published of HEAD, in dist/release, the same bytes each time.
release: $(VENV)/.release-stamp
	@.ci/release

# The oldest and the newest libraries that setup.cfg allows, with every Python that is here.
versions: $(VENV)/.release-stamp
	@.ci/versions $(ARGS)

pins: $(VENV)/.release-stamp
	@$(BIN)/python debian/pins $(ARGS)

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	rm -f twisted/plugins/dropin.cache
	find imd tests twisted -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
