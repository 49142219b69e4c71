# `make demo` and `make test` work from a fresh clone with Python 3.11, pip and make; each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
# Where it is set, each of the thousand Python processes that the tests start compiles all of disco_rq anew.
export PYTHONDONTWRITEBYTECODE =
INSTALLED := .venv/installed

.PHONY: demo test long bench big scale chaos soak network screenshots release lint format redis chromium axe clean

demo: $(INSTALLED)  ## count the words of Python's own standard library on an embedded cluster
	$(BIN)/python -m disco_rq.examples.demo

test: lint redis chromium axe  ## what CI runs
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

long: $(INSTALLED) redis  ## the tests that CI has no time for
	$(BIN)/python -m pytest -n 3 --dist loadfile -m long

chaos: $(INSTALLED)  ## 50 rounds in which everything dies, hangs or forgets at random moments, ten minutes; SEED=n plays them again; ARGS='--rounds 200'
	$(BIN)/python -m tests.chaos --rounds 50 $(if $(SEED),--seed $(SEED)) $(ARGS)
	$(BIN)/python -m pytest -m "long or not long" tests/chaos

soak: $(INSTALLED)  ## an hour of jobs while things die: nothing may grow, every answer be right. ARGS='--minutes 10 --seed 1'
	$(BIN)/python -m tests.soak $(ARGS)

network: $(INSTALLED) redis  ## hosts of their own (network namespaces, root), whose links are cut for a minute; six minutes
	$(BIN)/python -m pytest -m "long or not long" tests/network

bench: $(INSTALLED)  ## against programs by hand; half an hour. ARGS='--row sort --rounds 3 --scale 0.1 --peers ray,dask,joblib,rq'
	$(BIN)/python -m tests.benchmarks $(ARGS)

big: $(INSTALLED)  ## 10 GB through a group-by within 1 GB of memory; half an hour, 30 GB of disk. ARGS='--gb 1 --memory 512'
	$(BIN)/python -m tests.benchmarks.big $(ARGS)

scale: $(INSTALLED)  ## how cost grows with tasks and workers; some minutes. ARGS='--row sizes --scale 0.1'
	$(BIN)/python -m tests.scale $(ARGS)

screenshots: $(INSTALLED) chromium  ## the pictures in ops/screenshots, of real jobs; tells what the front page weighs. Debian's fonts-inter makes them nicer
	$(BIN)/python -m tests.web.screenshots $(ARGS)

release: $(INSTALLED)  ## sdist and wheel, twice the same bytes, checked; the demo from the wheel in an empty environment; what it installs
	rm -rf dist build/again && $(BIN)/python -m pip install --quiet --editable '.[release]'
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir build/again
	for file in dist/*; do cmp $$file build/again/$${file#dist/} || exit 1; done
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv --clear build/tried
	build/tried/bin/python -m pip install --quiet dist/*.whl
	cd build && tried/bin/python -m disco_rq.examples.demo
	$(BIN)/cyclonedx-py environment --output-reproducible --gather-license-texts --output-file dist/sbom.cdx.json build/tried/bin/python

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Made again when the dependencies change, or when the virtual environment was broken off half made.
$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "disco-rq needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

# Debian's Redis and redis-cli, which some tests compare with, a C compiler for the external example, ip for hosts with
# addresses of their own. Tests that need them skip where they are missing, but fail in CI (without ip, or where it may make
# no network, they skip there, too). RUNLEVEL=1 keeps Redis from starting a server of its own.
redis:
	@if command -v redis-cli >/dev/null && command -v redis-server >/dev/null && command -v gcc >/dev/null \
	    && command -v openssl >/dev/null && command -v ip >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends redis-server redis-tools gcc libc6-dev openssl iproute2 >/dev/null; \
	else echo "redis-server, redis-cli, gcc, openssl or ip is not installed: the tests that need it will be skipped"; fi

# Debian's browser, for the tests of the pages; as above.
chromium:
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else echo "chromium is not installed: the tests of the pages will be skipped"; fi

# The accessibility rules that the pages are held against, from npm; kept in build/npm.
AXE := 4.14.1
axe:
	@if [ "$$(cat build/npm/axe 2>/dev/null)" = $(AXE) ]; then :; \
	elif command -v npm >/dev/null; then \
	    npm install --silent --no-save --no-audit --no-fund --prefix build/npm axe-core@$(AXE) && echo $(AXE) > build/npm/axe \
	    || echo "axe-core could not be had: the test of accessibility will be skipped"; \
	else echo "npm is not installed: the test of accessibility will be skipped"; fi

clean:
	rm -rf .venv .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
