# FairDream: set-up, demo and checks. Needs make and Python 3.9 or newer, nothing else; `make help` lists the targets.

VENV := .venv
# uv lives beside the environment, not in it: `uv pip sync` removes what the lock does not list.
UV_VENV := .venv-uv
UV_VERSION := 0.13.9
# What the lock is made for. uv takes such a Python where one is installed, and fetches one where none is.
PYTHONS := >=3.11,<3.14
PY := $(VENV)/bin/python
# The site's tools, apart: its pins must move none that results are recorded under.
DOCS_VENV := .venv-docs
UV := $(UV_VENV)/bin/uv
READY := $(VENV)/.ready

FAIRDREAM = $(PY) -m fairdream
DEMO_TABLE = results/demo/tables/table1.md

# Which run `make audit`, `plan`, `cost` and `report` are about: demo, paper, or NAME for config/NAME.yaml.
RUN ?= paper
# Where `make report` writes, if not to report.html in the results folder; .zip for a large report.
REPORT ?=

# A worker more than the machine has cores, as the tests on a real SLURM mostly wait. tests/conftest.py says which ones
# stay together, and in which order they begin.
WORKERS = $(shell n=$$(nproc); echo $$((n < 6 ? n + 1 : 6)))
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder --durations 20

.PHONY: help setup demo audit plan cost report new-dataset trial test test-extra test-all test-gpu bench coverage lint typecheck docs format tiny-sd dag clean

# What `make new-dataset` is told beside NAME, on the command line: what it cannot find out by itself (docs/data.md).
# No shell reads a word of it: quotes in it are escaped.
quoted = '$(subst ','\'',$(1))'
NEW_DATASET = FOLDER TABLE IMAGE IMAGES LABEL ATTRIBUTE SPLIT SPLIT_VALUES MISSING VALIDATION TEST BASE

# $(call only,VARIABLES): a variable with a typing error would change nothing, and say nothing.
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
only = $(if $(filter-out VENV UV_VENV PY UV $(1),$(GIVEN)),$(error $(filter-out $(1),$(GIVEN)): no option of $@; there are $(or $(1),none)))

.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

setup: $(READY) ## create .venv from requirements.lock (a no-op when nothing changed)

demo: setup ## run the whole pipeline on the embedded data and print Table 1
	@$(call only,)
	@mkdir -p build && touch build/demo-started
	@$(FAIRDREAM) run demo
	@# the run prints its table at the end; a run that had nothing to do does not
	@[ $(DEMO_TABLE) -nt build/demo-started ] || cat $(DEMO_TABLE)

audit: setup ## show how biased the data are and which method fits, without a GPU (RUN=demo, RUN=birds; none: the paper's)
	@$(call only,RUN)
	@$(FAIRDREAM) audit $(call quoted,$(RUN))

plan: setup ## show what a run would do, why, and its hours (RUN=)
	@$(call only,RUN)
	@$(FAIRDREAM) plan $(call quoted,$(RUN))

cost: setup ## show what the jobs of a run took (RUN=)
	@$(call only,RUN)
	@$(FAIRDREAM) cost $(call quoted,$(RUN))

bench: setup ## all benchmarks that need no GPU, as one table (PEER=path of diffusers' train_dreambooth_lora.py)
	@$(call only,PEER)
	@$(PY) bench/table.py $(if $(PEER),--peer $(PEER))

new-dataset: setup ## write and check config/NAME.yaml for your own data (NAME=birds; FOLDER= LABEL= ATTRIBUTE= …: docs/data.md)
	@$(call only,NAME $(NEW_DATASET) FORCE)
	@$(FAIRDREAM) new-dataset $(if $(filter command,$(origin NAME)),$(call quoted,$(NAME)),$(error say what to call it: make new-dataset NAME=birds)) \
	  $(foreach option,$(NEW_DATASET),$(if $(filter command,$(origin $(option))),--$(shell echo $(option) | tr A-Z_ a-z-) $(call quoted,$($(option))))) \
	  $(if $(filter command,$(origin FORCE)),--force)

trial: setup ## try your own data on tiny models, after new-dataset: minutes on a CPU (NAME=birds)
	@$(call only,NAME)
	@$(FAIRDREAM) trial $(if $(filter command,$(origin NAME)),$(call quoted,$(NAME)),$(error say of which data: make trial NAME=birds))

report: setup ## write the HTML report of a finished run (RUN=, REPORT=FILE)
	@$(call only,RUN REPORT)
	@$(FAIRDREAM) report $(call quoted,$(RUN)) $(if $(REPORT),--output $(call quoted,$(REPORT)))

test: lint typecheck ## lint, types and the quick tests
	$(PYTEST) -m "not slow and not slurm and not gpu"

test-extra: setup ## the tests that `make test` leaves out: the slow ones and those on a real SLURM
	$(PYTEST) -m "(slow or slurm) and not gpu"

coverage: setup ## how much of the library the quick tests run: by module, failing under 90 %
	$(PYTEST) -m "not slow and not slurm and not gpu" --cov --cov-report=term:skip-covered \
	  --deselect tests/workflow/test_workflow.py::test_a_dry_run_of_the_demo_is_quick # measuring makes it slow

test-all: lint typecheck docs ## every test that needs no GPU
	$(PYTEST) -m "not gpu"

test-gpu: setup ## the tests of what runs on an NVIDIA GPU, on a machine that has one: minutes
	$(PY) -m pytest -m gpu tests/gpu

lint: setup ## check style, formats and the workflow
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/snakefmt --check Snakefile rules
	$(VENV)/bin/snakemake --lint --configfile config/demo.yaml

typecheck: setup ## check the types of src/, strictly (a minute and a half the first time, then seconds)
	$(PY) -m mypy

docs: setup $(DOCS_VENV)/.ready ## build the site into build/site, strictly; docs/config.md is made of the types
	@$(FAIRDREAM) config-reference
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html"

format: setup ## rewrite the sources in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(VENV)/bin/snakefmt Snakefile rules

tiny-sd: setup ## rebuild the demo's base model and CLIP from their seeds (about an hour on two cores)
	$(PY) -m fairdream.demo.tiny_sd
	$(PY) -m fairdream.demo.tiny_clip

dag: setup ## draw the rules of the demo into build/dag.svg (needs Graphviz)
	@mkdir -p build
	$(VENV)/bin/snakemake --profile profiles/demo --rulegraph dot > build/dag.dot
	dot -Tsvg build/dag.dot > build/dag.svg

clean: ## remove the environments and caches; results stay
	rm -rf $(VENV) $(UV_VENV) $(DOCS_VENV) .pytest_cache .ruff_cache .mypy_cache .coverage build

# Any Python starts uv that can make an environment: a Debian python3 may lack ensurepip, which `python -m venv` needs.
$(UV):
	@found=; \
	for python in python3 python3.13 python3.12 python3.11; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || continue; \
	  found="$$python"; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null && break; \
	  python=; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "FairDream needs Python 3.9 or newer to set itself up: python3 is none." >&2; exit 1; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "$$found cannot create virtual environments. On Debian and Ubuntu:" >&2; \
	  "$$found" -c 'import sys; print("    apt-get install python%d.%d-venv" % sys.version_info[:2])' >&2; exit 1; \
	fi; \
	echo "Setting up FairDream (once, some minutes)"; \
	rm -rf $(UV_VENV) && "$$python" -m venv $(UV_VENV)
	@$(UV_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# $(call environment,FOLDER): an empty one, of a Python that the lock is made for.
environment = $(UV) venv --quiet --clear --no-project --python '$(PYTHONS)' $(1) || { \
  echo "FairDream runs on Python $(PYTHONS): none is installed, and uv could not fetch one (see above)." >&2; exit 1; }

# `pip sync` makes the environment equal to the lock, so it repairs an interrupted or outdated one too.
$(READY): requirements.lock pyproject.toml | $(UV)
	@test -x $(PY) || $(call environment,$(VENV))
	$(UV) pip sync --compile-bytecode --python $(PY) --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

$(DOCS_VENV)/.ready: requirements-docs.lock | $(UV)
	@test -x $(DOCS_VENV)/bin/python || $(call environment,$(DOCS_VENV))
	$(UV) pip sync --quiet --python $(DOCS_VENV)/bin/python --require-hashes requirements-docs.lock
	@touch $@
