PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# What was chosen is for somebody who reads along, or waits for a debugger.
WORKERS ?= 0

bin := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check test bench

help: ## what there is to run
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'PYTHON=python3.12    build the environment with this Python (3.10 or newer)'
	@echo 'VENV="$$VIRTUAL_ENV"   use an environment that exists instead of .venv'
	@echo 'ARGS="--port 7861"    hand options on: to the page (demo), pytest (test), benchmarks (bench)'
	@echo 'WORKERS=2             test in so many processes, each with two cores and 5 GB of its own'

demo: $(VENV)/.requirements ## install what the page needs, start it and print its address
	$(bin)/python app.py $(ARGS)

check: $(VENV)/.requirements-dev ## formatting, lint, types and import contracts
	$(bin)/ruff format --check
	$(bin)/ruff check
	$(bin)/mypy
	$(bin)/lint-imports

# The files of tests are dealt out in their order, the slow ones of the page first.
pytest = $(bin)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: check ## install what the tests need, check, then test; installs Chromium where apt-get may
	@if CHROMIUM=$$(sh .ci/chromium); then \
		export CHROMIUM; \
		$(pytest) $(ARGS); \
	elif [ -n "$$CI" ]; then \
		exit 1; \
	else \
		echo 'The tests of the page in a browser are left out.'; \
		$(pytest) \
			-m 'not weights and not network and not gpu and not long and not browser' $(ARGS); \
	fi

bench: $(VENV)/.requirements ## measure speed as ratios on this machine, beside the last time
	$(bin)/python -m benchmarks $(ARGS)

$(bin)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
		"Python 3.10 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than the requirements they stand for: a second run installs nothing.
$(VENV)/.requirements: requirements.txt | $(bin)/python
	$(bin)/python -m pip install -r requirements.txt
	touch $@

$(VENV)/.requirements-dev: requirements-dev.txt $(VENV)/.requirements
	$(bin)/python -m pip install -r requirements-dev.txt
	touch $@
