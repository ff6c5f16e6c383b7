# One command each on a fresh clone. An environment is remade when its stamp is older than what it is made from.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# The first that runs: a shim of a version manager is on the path of versions that are not active, too.
PYTHON313 ?= $(shell for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python; do \
    "$$python" -c 'import sys; print(sys.executable)' 2> /dev/null && break; done)
WORKERS ?= 2
ENV := .venv
ENV2 := .venv-numpy2
ENV3 := .venv-py313
ENVL := .venv-lightning
ENVM := .venv-mlx
ENVA := .venv-audit
SOURCES := setup.cfg setup.py pyproject.toml
comma := ,
EXTRAS := jax,torch,report,data,dask,peers,examples,dev
PIP := -m pip --disable-pip-version-check install --quiet
# Two workers on few cores: a BLAS that starts a thread per core in each of them would only wait.
# Compiled modules are kept, where images of containers forbid it too: tests start hundreds of processes, which else
# compile gradest anew, each of them, and every worker of pytest rewrites all of the tests.
PYTEST := env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
# How many environments try in turn what takes long: the third where there is a Python for it.
TURNS = GRADEST_TURNS=$(if $(PYTHON313),3,2)
TESTS = -m pytest --in-turn -n $(WORKERS) $(ARGS)
SUITE ?= quick

.PHONY: help audit demo docs test test2 test3 python313 env env2 env3 lint format types dist bench bars gauntlet check-table coverage recipes report-check rates same-code examples docs-check results fashion-table system-libraries check clean

help:  ## what can be made
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(ENV)/.stamp  ## compare a few estimators on every installed backend, in about a minute
	$(ENV)/bin/gradest compare --demo

docs: $(ENV)/.docs  ## the documentation, every cell of it run: build/docs/index.html
	rm -rf build/docs  # Sphinx leaves pages there that are none any more
	$(PYTEST) $(ENV)/bin/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs

docs-check: $(ENV)/.docs  ## what `make docs` built, link by link, and page by page in headless Chromium, which it needs
	$(ENV)/bin/python docs/check_site.py build/docs $(ARGS)

results: $(ENV)/.stamp  ## the figures that the documentation and README.md show, some minutes on a quiet machine
	rm -rf build/choose
	$(PYTEST) $(ENV)/bin/gradest bench run docs/results/choose.toml --out build/choose
	$(ENV)/bin/gradest bench export json docs/results/choose.json --run build/choose
	$(PYTEST) $(ENV)/bin/gradest compare --demo --json --plot docs/demo.png > docs/results/demo.json
	$(ENV)/bin/python docs/results/write_readme.py

test: $(ENV)/.stamp  ## the tests, with NumPy 1, JAX, PyTorch and MXNet; what takes long in turn with test2
	$(PYTEST) $(TURNS) GRADEST_REQUIRED_BACKENDS=numpy,jax,torch,mxnet $(ENV)/bin/python $(TESTS)

test2: $(ENV2)/.stamp  ## the tests, with NumPy 2, newest JAX, PyTorch, no MXNet; what takes long in turn with test
	$(PYTEST) $(TURNS) GRADEST_REQUIRED_BACKENDS=numpy,jax,torch $(ENV2)/bin/python $(TESTS)

test3: $(ENV3)/.stamp  ## the tests, with Python 3.13, the newest NumPy and JAX, no PyTorch and no MXNet
	$(PYTEST) $(TURNS) GRADEST_REQUIRED_BACKENDS=numpy,jax $(ENV3)/bin/python $(TESTS)

python313:
	@echo $(PYTHON313)

env: $(ENV)/.stamp  ## the environment that holds all four frameworks
env2: $(ENV2)/.stamp  ## the environment of NumPy 2
env3: $(ENV3)/.stamp  ## the environment of Python 3.13

lint: $(ENV)/.stamp  ## format and rules
	$(ENV)/bin/ruff format --check .
	$(ENV)/bin/ruff check .

format: $(ENV)/.stamp  ## write the format and the safe fixes
	$(ENV)/bin/ruff format .
	$(ENV)/bin/ruff check --fix .

types: $(ENV)/.stamp  ## mypy, strict, over the packages and their tests
	$(ENV)/bin/mypy

dist: $(ENV)/.release  ## dist/: the source distribution, the wheel made from it, and whether their description renders
	rm -rf build dist
	$(ENV)/bin/python -m build --no-isolation . > build.log 2>&1 || { cat build.log; exit 1; }
	rm -rf build build.log
	$(ENV)/bin/python -m twine check --strict dist/*

bench: $(ENV)/.stamp  ## run a suite: make bench SUITE=name
	$(ENV)/bin/gradest bench run $(SUITE)

BARS := reverse_overhead own_code new_batch numpy_functions reverse_overhead_mxnet analytic_numpy forward_mode finite_differences preparation evolution own_models growth import_time null_estimator busy_neighbour

bars: $(ENV)/.stamp  ## speed and memory beside peers, some minutes on a quiet machine: make bars BARS=evolution
	for script in $(BARS); do $(ENV)/bin/python benchmarks/scripts/$$script.py; done

rates: $(ENV)/.stamp  ## false alarms and power of `gradest bench compare` and of the verdicts, simulated, some minutes
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/rates.py

same-code: $(ENV)/.stamp  ## ten pairs of real runs of one code, and planted slowdowns, compared, about 20 minutes
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/same_code.py

check-table: $(ENV)/.stamp  ## false alarms of gradest.check on right gradients, and planted defects that it misses
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/check_table.py

examples: $(ENV)/.stamp  ## every lesson of examples/lessons in full, figures in build/lessons: about ten minutes
	$(PYTEST) $(ENV)/bin/python examples/run_lessons.py

fashion-table: $(ENV)/.stamp  ## training on Fashion-MNIST under five estimators, resumable: docs/results/fashion-mnist.json
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/fashion_table.py

recipes: $(ENVL)/.stamp $(ENVM)/.stamp  ## recipes whose framework needs an environment of its own: PyTorch Lightning, MLX
	$(PYTEST) $(ENVL)/bin/python examples/recipes/lightning_manual.py
	$(PYTEST) $(ENVM)/bin/python examples/recipes/mlx_backend.py
	$(PYTEST) $(ENVM)/bin/gradest check backend examples/recipes/mlx_backend.py:MlxBackend

audit: $(ENVA)/.stamp  ## gradient estimators of other packages, measured: docs/results/audit.json, a minute or two
	$(PYTEST) $(ENVA)/bin/gradest audit --out docs/results/audit.json

gauntlet: $(ENV)/.stamp  ## every estimator on every loss of the gauntlet, 15 to 30 minutes: docs/gauntlet.md
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/gauntlet_table.py --workers $(WORKERS)

coverage: $(ENV)/.stamp  ## how often the errors that differences state hold
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/difference_coverage.py

report-check: $(ENV)/.stamp  ## the pages of the harness, opened and used in Chromium; 10,000 cells timed
	$(PYTEST) $(ENV)/bin/python benchmarks/scripts/report_check.py

check:  ## everything that is checked before a merge
	.ci/run

clean:  ## remove builds and caches; the environments stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find gradest backends benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

# MXNet links two system libraries that a bare Debian lacks. Without the right to install them, MXNet alone is
# reported as missing, with the command that installs them; everything else works.
system-libraries:
	@libraries="$$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)"; \
	if grep -q libgomp.so.1 <<< "$$libraries" && grep -q libquadmath.so.0 <<< "$$libraries"; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends libgomp1 libquadmath0 && exit 0; \
	fi; \
	echo "note: MXNet needs libgomp.so.1 and libquadmath.so.0: apt-get install libgomp1 libquadmath0" >&2

$(ENV)/.stamp: constraints/py311-all.txt $(SOURCES) | system-libraries
	test -x $(ENV)/bin/python || $(PYTHON) -m venv $(ENV)
	$(ENV)/bin/python $(PIP) --constraint $< --editable '.[$(EXTRAS),mxnet]'
	touch $@

$(ENV)/.docs: $(ENV)/.stamp
	$(ENV)/bin/python $(PIP) --constraint constraints/py311-all.txt --editable '.[docs]'
	touch $@

$(ENV)/.release: $(ENV)/.stamp
	$(ENV)/bin/python $(PIP) --constraint constraints/py311-all.txt --editable '.[release]'
	touch $@

$(ENV2)/.stamp: constraints/py311-numpy2.txt $(SOURCES)
	test -x $(ENV2)/bin/python || $(PYTHON) -m venv $(ENV2)
	$(ENV2)/bin/python $(PIP) --constraint $< --editable '.[$(EXTRAS)]'
	touch $@

$(ENV3)/.stamp: constraints/py313.txt $(SOURCES)
	test -n "$(PYTHON313)" || { echo "make: no Python 3.13 found; name one: make PYTHON313=/its/python" >&2; exit 1; }
	test -x $(ENV3)/bin/python || $(PYTHON313) -m venv $(ENV3)
	$(ENV3)/bin/python $(PIP) --constraint $< --editable '.[$(subst torch$(comma),,$(EXTRAS))]'
	touch $@

$(ENVL)/.stamp: $(SOURCES)
	test -x $(ENVL)/bin/python || $(PYTHON) -m venv $(ENVL)
	$(ENVL)/bin/python $(PIP) --editable . torch==2.13.0 lightning
	touch $@

$(ENVA)/.stamp: constraints/audit.txt $(SOURCES)
	test -x $(ENVA)/bin/python || $(PYTHON) -m venv $(ENVA)
	$(ENVA)/bin/python $(PIP) --constraint $< --editable . autograd evosax numdifftools optax pennylane torch torchopt torchzero
	touch $@

$(ENVM)/.stamp: $(SOURCES)
	test -x $(ENVM)/bin/python || $(PYTHON) -m venv $(ENVM)
	$(ENVM)/bin/python $(PIP) --editable . 'mlx[cpu]'
	touch $@
