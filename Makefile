# Each command sets up what it needs, in .venv; nothing has to be installed before but Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/python -m uv pip install --quiet --python $(BIN)/python

# A file's tests share what is costly to make and stay together; the files with the longest tests begin. Three at a time,
# on two cores too: a quarter of the time is waiting for what other processes do.
AT_ONCE := --numprocesses=3 --dist=loadfile --no-loadscope-reorder

# Some machines that build have no HOME, and the tools want a place for their caches.
ifeq ($(HOME),)
export HOME := $(CURDIR)/.cache/home
endif

.DEFAULT_GOAL := help
.PHONY: help demo test lint types bench shots clean labextension

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.for-demo labextension ## start a JupyterHub with the service and an example environment; ONCE=1 ends after the check
	@$(BIN)/conda-store-hub demo $(if $(ONCE),--once) $(ARGS)

test: .venv/.for-test labextension ## run all tests; as root on Debian it installs what they need; ARGS= for pytest (-n 0: one after the other)
	@bash tests/support/debian.sh
	@$(BIN)/python -m pytest $(AT_ONCE) $(ARGS)

lint: .venv/.for-lint ## check style, with ruff
	@$(BIN)/ruff check conda_store_hub tests benchmarks binder labextension hatch_build.py

types: .venv/.for-test .venv/.for-lint ## check types, with pyright
	@$(BIN)/pyright

bench: .venv/.for-bench labextension ## measure, and print ratios
	@$(BIN)/python -m benchmarks $(ARGS)

shots: .venv/.for-test labextension ## draw every page, light and dark, wide and narrow; ARGS= for part of a name
	@$(BIN)/python -m tests.browser.shots $(ARGS)

clean: ## remove the virtual environment, the demo's state and the caches
	@chmod -R u+w .demo/data/ 2> /dev/null || true # environments are read-only
	@[ ! -L .demo/data ] || rm -rf "$$(readlink .demo/data)"
	rm -rf .venv .demo .cache .pytest_cache .ruff_cache .hypothesis build dist
	rm -rf conda_store_hub/labextension conda_store_hub/web/static/built labextension/lib labextension/node_modules labextension/tsconfig.tsbuildinfo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.uv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' || { \
	  echo "Python 3.11 or newer is needed; '$(PYTHON)' is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@mkdir -p "$$HOME"
	@$(PYTHON) -m venv .venv || { bash tests/support/debian.sh venv && $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

# An editable install does not build the lab extension; this does, when something of it has changed.
labextension: $(if $(filter demo,$(MAKECMDGOALS)),.venv/.for-demo,.venv/.for-test)
	@$(BIN)/python labextension/scripts/build.py

.venv/.for-demo: pyproject.toml .venv/.uv
	SKIP_JUPYTER_BUILDER=1 $(UV) -e '.[server]' --group demo
	@touch $@

.venv/.for-test: pyproject.toml .venv/.uv
	SKIP_JUPYTER_BUILDER=1 $(UV) -e '.[server]' --group test
	@touch $@

.venv/.for-bench: pyproject.toml .venv/.uv
	@SKIP_JUPYTER_BUILDER=1 $(UV) -e '.[server]' --group bench
	@touch $@

.venv/.for-lint: pyproject.toml .venv/.uv
	$(UV) --group lint
	@touch $@
