# What a fresh machine needs: make, python3 (3.11 or newer) with its venv module, and a package index that pip knows.
# The locks carry hashes and no addresses. `make demo` installs the core lock alone; everything else the development lock,
# whose versions of the same packages are the same.

PYTHON ?= python3
venv := .venv
python := $(venv)/bin/python
pip := $(python) -m pip --quiet --quiet --disable-pip-version-check --no-input
bench := tests/benchmarks/bench.py

# What another environment left behind must not reach ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV

.PHONY: demo test check bench nightly lock clean
.DEFAULT_GOAL := demo

# SECONDS: stop after so many seconds (default: until Ctrl-C). SEED: of the demo's market and crowd.
demo: $(venv)/.core
	@$(python) -m kalshi_daemon demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

test: $(venv)/.dev
	@$(python) -m pytest --numprocesses=auto --dist=loadgroup $(ARGS)

check: $(venv)/.dev
	@$(python) -m ruff check .
	@$(python) -m ruff format --check --quiet .
	@$(python) -m mypy

bench: $(venv)/.dev
	@$(python) $(bench) $(ARGS)

# KILLS: how often the daemon is killed at random moments. SEED: the first seed (default: the day's); each is printed.
# ORDERS: how many are sent through every fault. LIVES: accounts that are begun from a journal and from nothing. DAYS: recorded, and decided again. Properties are asked of examples that are drawn anew.
nightly: $(venv)/.dev
	@KILLS=$(or $(KILLS),200) KILLS_SEED=$(or $(SEED),$(shell date +%y%j)) ORDERS=$(or $(ORDERS),10000) \
		LIVES=$(or $(LIVES),100) DAYS=$(or $(DAYS),12) $(python) -m pytest -v --hypothesis-profile=default \
		tests/service/test_killed.py tests/simulation/test_ten_thousand_orders.py tests/simulation/test_cold_start.py \
		tests/replay/test_decisions.py \
		tests/core tests/wire tests/charts tests/policy

# Resolves both locks again. uv is installed for it on demand; it is no dependency of ours.
lock: $(venv)/.dev
	@$(pip) install uv
	@$(venv)/bin/uv pip compile $(lock_flags) --extra dev pyproject.toml --output-file requirements-dev.lock
	@$(venv)/bin/uv pip compile $(lock_flags) --extra build --constraint requirements-dev.lock pyproject.toml \
		--output-file requirements.lock

lock_flags := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url

# A stamp inside .venv: set up once, and again when a lock changes. The development set contains the core set.
$(venv)/.core: requirements.lock pyproject.toml
	$(call set_up,requirements.lock)
	@touch $@

$(venv)/.dev: requirements-dev.lock requirements.lock pyproject.toml
	$(call set_up,requirements-dev.lock)
	@touch $(venv)/.core $@

define set_up
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "kalshi-daemon needs Python 3.11 or newer")'
	@test -x $(python) || echo "setting up $(venv) from $(1): once, about a minute"
	@test -x $(python) && $(python) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(venv)
	@$(pip) install --require-hashes --requirement $(1)
	@$(pip) install --no-deps --no-build-isolation --editable .
endef

clean:
	@rm -rf $(venv) .mypy_cache .ruff_cache .pytest_cache .hypothesis
