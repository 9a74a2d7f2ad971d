# Everything sets itself up: Python 3.11+ and make are all a machine needs.
.DEFAULT_GOAL := help
.PHONY: help dist lowest cast demo test test-slow test-fast check format bench docs screenshots site clean .venv/foreign .venv/foreign-tools

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen --no-sync
# Two workers more than there are processors, since many tests wait: for a lease, a server, a process that is killed. What
# one does not get to, another takes over. `make test SIDE_BY_SIDE=` runs the tests one by one.
SIDE_BY_SIDE ?= -n $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 2)") --dist worksteal
# The contract on one engine, and what needs no server and no process of its own.
FAST := tests/house tests/unit tests/conformance/test_local_storage_process.py tests/conformance/test_local_handlers.py

# Kept even where the environment asks for none: each worker would rewrite the asserts of all modules again.
export PYTHONDONTWRITEBYTECODE :=

help:  ## Show what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

dist: .venv/release  ## Build wheel and sdist into dist/, check them, and try the wheel on each Python that is here
	$(RUN) python scripts/make_dist.py $(DIST)

lowest: .venv/ready  ## Run a part of the tests with the lowest versions that pyproject.toml allows
	$(RUN) python scripts/try_lowest.py $(TESTS)

demo: .venv/ready  ## Store a real generation run, reopen it and show it
	$(RUN) python -m starfish_storage.demo examples/gsm8k/model_solutions.jsonl

test: .venv/ready  ## Run the tests (the slow ones in a reduced size)
	$(RUN) pytest --durations=20 $(SIDE_BY_SIDE)

test-fast: .venv/ready  ## Run the tests that say within a minute whether a change is sound
	$(RUN) pytest $(FAST) $(SIDE_BY_SIDE)

test-slow: .venv/browser .venv/axe.min.js .venv/clients .venv/cluster .venv/foreign .venv/foreign-tools .venv/notebook .venv/training  ## Run every test whole: kill loops, a million rows; the numbers of cases go to slow-cases.log
	$(RUN) pytest -m "slow or not slow" --hypothesis-profile=thorough --timeout=3600 --log-file=slow-cases.log --log-file-level=INFO

check: .venv/ready  ## Lint, format, types, import floors, size limits
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) pyright
	$(RUN) lint-imports
	$(RUN) python scripts/check_sizes.py

format: .venv/ready  ## Format the code and mend what the linter can
	$(RUN) ruff check --fix
	$(RUN) ruff format

sync: .venv/ready  ## Make the synchronous face from the asynchronous one, after a change of that
	$(RUN) python scripts/make_sync.py

bench: .venv/ready  ## Measure against the peer and against raw loops, and print the tables of benchmarks/RESULTS.md
	$(RUN) python -m benchmarks

docs: .venv/ready  ## Run every example of the README and of docs/
	$(RUN) pytest tests/docs

cast: .venv/ready  ## Record a terminal in which the demo runs: docs/images/demo.cast, and a picture of its end
	$(RUN) python scripts/make_cast.py

screenshots: .venv/browser  ## Take the pictures of the viewer in docs/images/, of a store with real answers
	$(RUN) python scripts/take_screenshots.py

site: .venv/site  ## Build the documentation site into site/, and follow its links
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

clean:  ## Remove what was set up
	rm -rf .venv .tools site .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --compile-bytecode
	@$(RUN) python -m compileall -q src
	@touch $@

# Each adds its group and, being inexact, leaves the other's. Without bytecode: of their thousands of modules, tests
# import a few.
.venv/browser .venv/clients .venv/cluster .venv/notebook .venv/release .venv/site .venv/training: .venv/ready
	$(UV) sync --frozen --quiet --inexact --group $(@F)
	@touch $@

# What tests look for faults of pages with; from npm.
.venv/axe.min.js: scripts/get_axe.py | .venv/ready
	$(RUN) python $< $@

# The tests of Starfish for what the integration replaces; from GitHub, or STARFISH_TESTS=/a/checkout.
.venv/starfish-tests: scripts/get_starfish_tests.py | .venv/ready
	$(RUN) python $< $@

# The tools whose stores are imported, apart from what this project needs; 1 GB each, so only where they are asked for.
.venv/foreign: .venv/foreign/finished .venv/foreign-starfish/finished

.venv/foreign/finished: tests/imports/foreign.txt | .venv/ready
.venv/foreign-starfish/finished: tests/imports/starfish.txt | .venv/ready
.venv/foreign-tools: .venv/foreign-tools/finished
.venv/foreign-tools/finished: tests/imports/foreign-tools.txt | .venv/ready
.venv/foreign/finished .venv/foreign-starfish/finished .venv/foreign-tools/finished:
	$(UV) venv --quiet --clear --python .venv/bin/python $(@D)
	$(UV) pip install --quiet --python $(@D)/bin/python -r $<
	@touch $@

.tools/bin/uv:
	$(PYTHON) scripts/get_uv.py .tools
