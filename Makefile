# Two commands need nothing set up before: `make demo` and `make test`. `make help` lists all.

VENV    ?= .venv
LS_VENV ?= .venv-label-studio
PYTEST_ARGS ?=
# PyTorch's index of CPU wheels makes an environment some 4 GB smaller: the registry's wheels for
# Linux bring the libraries of CUDA, which a machine without a GPU never loads.
TORCH_INDEX_URL ?=
# Processes that run tests, for two cores: with three of them the same tests took longer.
PYTEST_WORKERS ?= 2
export LS_VENV

# The first Python on this machine that is new enough and runs (a pyenv shim may only exist).
PYTHON ?= $(firstword $(foreach name,python3.11 python3 python3.12 python3.13,$(shell \
	$(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))

BIN = $(VENV)/bin

.PHONY: help demo test lint bench lock

help:
	@echo 'make demo    Label Studio, this backend and a project with photos, ready to click'
	@echo 'make test    everything that CI checks: lint, types, import floors, tests, browser'
	@echo 'make lint    ruff, mypy --strict, import floors'
	@echo 'make bench   speed against segment_anything, not part of the tests; QUICK=1: five minutes'
	@echo 'make lock    constraints.txt anew after a change of pyproject.toml; UPGRADE=1: newest versions'
	@echo 'VENV=, LS_VENV= reuse environments; PYTEST_ARGS= goes to pytest; PYTEST_WORKERS= processes'
	@echo "PYTEST_ARGS=--cov=sam_backend tells which lines no test runs, for a third more time"
	@echo 'TORCH_INDEX_URL= PyTorch'\''s index of CPU wheels saves some 4 GB (docs/deployment.md)'

demo: $(VENV)/.installed-demo
	@exec $(BIN)/sam-backend demo

test: lint
	$(BIN)/python -m tests.system_packages
	$(BIN)/python -m sam_backend.demo.local_server '$(LS_VENV)'
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.speed $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.speed --extras)
	$(BIN)/python -m benchmarks.startup $(if $(QUICK),--rounds 1)
	$(BIN)/python -m benchmarks.click $(if $(QUICK),--clicks 4 --users 1 8)
	$(BIN)/python -m benchmarks.training $(if $(QUICK),--images 1 --families starter,--families starter vit_b)

$(VENV)/bin/pip:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed and was not found' >&2; exit 1; }
	@echo 'Making the environment $(VENV) with $(PYTHON) …'
	$(PYTHON) -m venv $(VENV)

INSTALL = $(BIN)/python -m pip install -c constraints.txt \
	$(if $(TORCH_INDEX_URL),--extra-index-url '$(TORCH_INDEX_URL)')

# The stamps are older than these two files when what is needed may have changed.
$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo 'Installing the package and what its tests need; the first time takes minutes …'
	$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed-dev $(VENV)/.installed-demo

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo 'Installing the package and the demo'\''s photos; the first time takes minutes …'
	$(INSTALL) -e '.[demo]'
	@touch $@

# The versions that the tests run with, for Python 3.11 to 3.13. Without UPGRADE those stay that
# still fit pyproject.toml. The extra label-studio-ml is left out: it would hold others down.
lock: | $(VENV)/bin/pip
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra cloud \
		--no-annotate --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) \
		pyproject.toml -o constraints.txt
