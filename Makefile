PYTHON ?= python3
TORCH_INDEX ?=
DEMO_ROOT ?= .demo
LOWEST_PYTHON ?= python3.11

BIN := .venv/bin
PIP = -m pip install -qq --no-user --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PIP_INSTALL = $(BIN)/python $(PIP) -c constraints.txt

# The lowest versions are those that scripts/lowest.py prints. With them run, beside the quick tests, those of where
# libraries changed most: click, the hub's client, HDF5. `datasets` at its floor is run among the newest of the others,
# as users have it. The tests of CLIP need transformers, which base has not.
LOWEST := .venv-lowest
OF_CLIP := tests/test_clip_folder.py tests/test_embed.py tests/test_paths.py
OF_DATASETS := tests/test_average.py tests/test_builder.py tests/test_load.py tests/test_torch_dataset.py
OF_LIBRARIES := tests/test_cli.py tests/test_hub.py tests/test_locks.py tests/test_readme.py

# What a user's shell or home sets must not reach in here, nor this fill their caches.
unexport PYTHONPATH PYTHONHOME
export PYTHONNOUSERSITE := 1
export HF_HOME := $(CURDIR)/.venv/huggingface

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test quick docs release lowest mutants crash check bench clean

help:
	@echo 'make demo    synthetic release -> index -> dataset in ./nsd_imagery -> a torch batch -> its numbers and a page'
	@echo 'make test    run the tests'
	@echo 'make quick   those that take less than a minute together'
	@echo 'make docs    the site, from its pages, the docstrings and examples that run, in docs/_build (a minute)'
	@echo 'make release build wheel and sdist into dist, and try each in empty environments; publishes nothing'
	@echo 'make lowest  make quick and more with the lowest versions that pyproject.toml allows'
	@echo 'make mutants plant one-line bugs, each against the tests that run its line (half an hour)'
	@echo 'make crash   kill builds, pushes and pulls at every moment that counts (a quarter of an hour)'
	@echo 'make check   lint, format, types, layers, and no data among the tracked files'
	@echo 'make bench   speed and memory beside the peers, of NSD core, of several processes and Dask, and of exports,'
	@echo '             into benchmarks/*.md (a quarter of an hour, 14 GB of disk)'
	@echo 'make clean   remove .venv, $(LOWEST), .demo and caches; ./nsd_imagery stays'
	@echo
	@echo 'Each installs what it needs into .venv, lowest into $(LOWEST), at its first call. Variables:'
	@echo '  PYTHON=$(PYTHON)      the Python, 3.11 or newer, that .venv is made from'
	@echo '  TORCH_INDEX=URL     a further package index to take torch from: a CPU index, where the'
	@echo '                      default one would give a CUDA build of several gigabytes'
	@echo '  LOWEST_PYTHON=$(LOWEST_PYTHON)  the Python 3.11, the lowest too, of make lowest'
	@echo '  DEMO_ROOT=$(DEMO_ROOT)     where the demo writes its synthetic release'

demo: .venv/run.stamp
	$(BIN)/nsd-imagery synth $(DEMO_ROOT) --subjects subj01 --perception-sessions 2
	$(BIN)/nsd-imagery index $(DEMO_ROOT)
	$(BIN)/nsd-imagery build $(DEMO_ROOT) --out nsd_imagery
	$(BIN)/python examples/quickstart.py
	$(BIN)/nsd-imagery evaluate nsd_imagery --embeddings $(DEMO_ROOT)/truth --draws 999 --out $(DEMO_ROOT)/evaluation

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2

quick: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 -m 'not slow'

docs: .venv/docs.stamp
	rm -rf docs/_build docs/generated
	$(BIN)/python -m sphinx -E -W -n --keep-going -q docs docs/_build
	@echo 'Open docs/_build/index.html'

release: .venv/dev.stamp
	$(BIN)/python scripts/release.py

lowest: .venv/dev.stamp $(LOWEST)/base.stamp $(LOWEST)/clip.stamp $(LOWEST)/datasets.stamp
	$(LOWEST)/base/bin/python -m pytest -n 2 -m 'not slow' $(OF_CLIP:%=--ignore=%)
	$(LOWEST)/base/bin/python -m pytest -n 2 -m slow $(OF_LIBRARIES)
	$(LOWEST)/clip/bin/python -m pytest -n 2 $(OF_CLIP)
	$(LOWEST)/datasets/bin/python -m pytest -n 2 $(OF_DATASETS)
	$(BIN)/python scripts/across.py $(LOWEST)/base/bin/python $(LOWEST)/datasets/bin/python

mutants: .venv/dev.stamp
	$(BIN)/python tests/mutation/run.py map
	$(BIN)/python tests/mutation/run.py try --seed $(shell date +%s)

crash: .venv/dev.stamp
	$(BIN)/python tests/crash/run.py

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python scripts/guard_data.py

bench: .venv/dev.stamp
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/core.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/transfer.py

clean:
	rm -rf .venv $(LOWEST) .demo .bench dist docs/_build docs/generated .pytest_cache .ruff_cache .hypothesis
	find builder tests scripts -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml constraints.txt | .venv/bin/pip
	@echo 'Installing nsd-imagery and torch into .venv; the first time takes some minutes.'
	@$(PIP_INSTALL) -e '.[torch,evaluate]'
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/pip
	@echo 'Installing nsd-imagery, torch and the development tools into .venv; the first time takes some minutes.'
	@$(PIP_INSTALL) -e '.[torch,evaluate,dev]'
	@touch $@ .venv/run.stamp

.venv/docs.stamp: pyproject.toml constraints.txt | .venv/dev.stamp
	@echo 'Installing what builds the site into .venv.'
	@$(PIP_INSTALL) -e '.[torch,evaluate,docs]'
	@touch $@

# Without byte code, which most of what is installed here never needs.
$(LOWEST)/%.stamp: pyproject.toml constraints.txt scripts/lowest.py | .venv/dev.stamp
	@$(LOWEST_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Floors are run with Python 3.11: make lowest LOWEST_PYTHON=...")'
	@echo 'Installing nsd-imagery with the lowest versions for $* into $(LOWEST)/$*.'
	@rm -rf $(LOWEST)/$*
	@$(LOWEST_PYTHON) -m venv $(LOWEST)/$*
	@$(BIN)/python scripts/lowest.py $* > $(LOWEST)/$*/requirements.txt
	@$(LOWEST)/$*/bin/python $(PIP) --only-binary :all: --no-compile -r $(LOWEST)/$*/requirements.txt
	@touch $@
