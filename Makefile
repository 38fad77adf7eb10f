# Every target works in a fresh clone and needs only Python, make and a network for the set-up.
# PYTHON=python3.12 make setup       another interpreter for .venv
# make demo JUPYTER_ARGS="--port 9000"
# make test PYTEST_ARGS="-k prompts" narrows the Python tests

PYTHON ?= python3
JUPYTER_ARGS ?=
PYTEST_ARGS ?=

python := .venv/bin/python
pytest := $(python) -m pytest
# Two processes of one thread each: two of two threads wait for each other, twice as long.
pair := OMP_NUM_THREADS=1 $(pytest) -n 2 --dist loadfile
npm := $(python) .ci/npm.py
stamp := .venv/.setup
bundle := segwidget/static/widget.js
setup_inputs := pyproject.toml constraints.txt hatch_build.py .ci/setup .ci/chromium \
	$(wildcard js/package.json js/package-lock.json)
js_sources := $(shell find js/src -type f 2>/dev/null) $(wildcard js/build.mjs js/tsconfig.json)

.PHONY: setup demo test lint format types python-tests packaging-tests notebook-tests js-tests \
	browser-tests screenshots build clean

setup: $(stamp) $(bundle)

$(stamp): $(setup_inputs)
	PYTHON="$(PYTHON)" .ci/setup
	@touch $@

$(bundle): $(js_sources) | $(stamp)
	$(python) hatch_build.py
	@touch $@

demo: setup
	.ci/demo $(JUPYTER_ARGS)

# In the order of seconds, so that what fails quickly fails first.
test: lint types js-tests python-tests packaging-tests notebook-tests browser-tests

lint: setup
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	.venv/bin/lint-imports --no-logo

format: setup
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

types: setup
	$(python) -m mypy
	$(npm) run typecheck

js-tests: setup
	$(npm) test

python-tests: setup
	$(pair) --ignore=tests/browser --ignore=tests/packaging $(PYTEST_ARGS)

packaging-tests: setup
	$(pytest) tests/packaging

notebook-tests: setup
	$(pair) --nbmake --nbmake-timeout=300 --timeout=600 notebooks

browser-tests: setup
	chromium=$$(.ci/chromium) && CHROMIUM="$$chromium" $(pair) tests/browser

screenshots: setup
	chromium=$$(.ci/chromium) && CHROMIUM="$$chromium" SCREENSHOTS=1 $(pytest) -n 2 tests/browser -k screenshot

build: setup
	rm -rf dist
	$(python) -m build --no-isolation

clean:
	rm -rf build dist segwidget/static test-artifacts js/coverage js/dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find segwidget tests benchmarks notebooks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
