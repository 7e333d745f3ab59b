# The same targets on a laptop and in CI. `make` alone lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Into the environment of a Python. pip compiles all, also what is never imported, which
# takes a minute of what takes seconds; it knows mirrors that uv is not told of.
into = $(BIN)/uv pip install -q --python $(1) $(2) || \
    $(BIN)/pip --python $(1) install -q --disable-pip-version-check $(2)

# Tests of a second or so, without a server.
QUICK := artefact assertion batching columns evaluate explain fhir layers openapi \
    predict receiving settings style

help:  ## List the targets.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

$(VENV)/.run: requirements.txt scripts/install.sh
	scripts/install.sh $(PYTHON) $(VENV) requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-otel.txt $(VENV)/.run
	$(BIN)/pip install -q --disable-pip-version-check $$(grep ^uv== $<)
	$(call into,$(BIN)/python,-r $<)
	@touch $@

.venv-checkov/.done: requirements-checkov.txt $(VENV)/.dev
	$(PYTHON) -m venv --without-pip --clear .venv-checkov
	$(call into,.venv-checkov/bin/python,--no-deps -r $<)
	@touch $@

# With the service's packages behind its own, which are older.
.venv-spacy/.done: training/requirements-spacy.txt $(VENV)/.dev
	$(PYTHON) -m venv --without-pip --clear .venv-spacy
	$(call into,.venv-spacy/bin/python,-r $<)
	echo "$(CURDIR)/$(VENV)/lib/python3.11/site-packages" \
	    > .venv-spacy/lib/python3.11/site-packages/service.pth
	@touch $@

.venv-audit/.done: requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install -q --disable-pip-version-check --no-deps -r $<
	@touch $@

install: $(VENV)/.run  ## Create .venv with what the service needs.

run: install  ## Serve on port 8000 (PORT), as in production.
	GLIBC_TUNABLES=glibc.malloc.tcache_count=0 $(BIN)/gunicorn wsgi:app

model: install  ## Fetch ClinicalBERT at its pinned revision into models/.
	$(BIN)/python -m negation_api model fetch

train: $(VENV)/.dev  ## Train the embedded model anew from DATA_DIR, an hour or more.
	$(BIN)/pip install -q --no-deps -r training/requirements.txt
	PYTHON=$(PYTHON) training/rules.sh
	mkdir -p training/work
	$(BIN)/python training/silver.py --data $(DATA_DIR) --output training/work/silver.jsonl
	$(BIN)/python training/train.py --stage labels --data $(DATA_DIR) \
	    --silver training/work/silver.jsonl --output training/work/labels
	$(BIN)/python training/train.py --stage axes --start training/work/labels \
	    --data $(DATA_DIR) --silver training/work/silver.jsonl \
	    --output training/work/axes
	$(BIN)/python training/train.py --stage literature --start training/work/axes \
	    --data $(DATA_DIR) --silver training/work/silver.jsonl \
	    --output training/work/model

report: $(VENV)/.dev  ## Measure the model beside the rule systems on DATA_DIR.
	$(BIN)/pip install -q --no-deps -r training/requirements.txt
	PYTHON=$(PYTHON) training/report.sh $(DATA_DIR) $(BIN)/python

.venv-bench/.done: requirements.txt bench/requirements.txt
	scripts/install.sh $(PYTHON) .venv-bench requirements.txt
	scripts/install.sh $(PYTHON) .venv-bench bench/requirements.txt
	@touch $@

bench: .venv-bench/.done  ## Service, bound and peers; a quarter of an hour, needs wrk.
	.venv-bench/bin/python bench/run.py
	.venv-bench/bin/python bench/report.py bench/results/results.json docs/performance.md
	.venv-bench/bin/python infra/costs.py

bench-shapes: .venv-bench/.done  ## Other numbers of workers and threads, five minutes.
	.venv-bench/bin/python bench/run.py --shapes 1x2 2x1 2x2 \
	    --output bench/results/shapes.json
	.venv-bench/bin/python bench/report.py bench/results/shapes.json docs/performance.md

bench-notes: .venv-bench/.done  ## Whole notes on one core, beside rules; right about ROWS (a file).
	PYTHON=$(PYTHON) training/rules.sh
	.venv-bench/bin/python bench/one_core.py $(ROWS)
	.venv-bench/bin/python bench/report.py bench/results/notes.json docs/performance.md

bench-exits: .venv-bench/.done  ## The service with early exit and without, five minutes.
	.venv-bench/bin/python bench/exits.py
	.venv-bench/bin/python bench/report.py bench/results/exits.json docs/performance.md

wheel: $(VENV)/.dev  ## Build the package, weights included, into dist/.
	$(BIN)/pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w dist .

openapi: $(VENV)/.dev  ## Write docs/openapi.json anew.
	$(BIN)/python -m negation_api.http.openapi > docs/openapi.json

picture: $(VENV)/.dev  ## Draw the picture in docs/architecture.md anew.
	PYTHONPATH=. $(BIN)/python scripts/draw_layers.py

format: $(VENV)/.dev  ## Let Black change the files.
	$(BIN)/black .

hashes: $(VENV)/.dev  ## Write requirements-hashes.txt anew, from requirements.txt.
	$(BIN)/uv pip compile -q --no-deps --generate-hashes --no-emit-package torch \
	    --no-header --no-annotate --python-version 3.11 --upgrade \
	    requirements.txt -o requirements-hashes.txt

lint: $(VENV)/.dev .venv-checkov/.done  ## Every linter over everything; changes nothing.
	$(BIN)/black --check --quiet . || $(BIN)/black --check --diff .
	$(BIN)/flake8
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/bandit -q -c pyproject.toml -r negation_api infra wsgi.py gunicorn.conf.py
	$(BIN)/python -m negation_api doctor
	$(BIN)/shellcheck .ci/run scripts/*.sh training/*.sh
	$(BIN)/hadolint Dockerfile
	$(BIN)/yamllint --strict .circleci infra .*.yaml
	$(BIN)/cfn-lint --region eu-central-1 -- infra/*.yaml
	.venv-checkov/bin/checkov --config-file .checkov.yaml -d infra
	.venv-checkov/bin/checkov --config-file .checkov.yaml -f Dockerfile .circleci/config.yml

audit: .venv-audit/.done  ## Known vulnerabilities of what is pinned; asks PyPI.
	.venv-audit/bin/pip-audit --strict --progress-spinner off --no-deps --disable-pip \
	    -r requirements.txt -r requirements-otel.txt -r requirements-spark.txt

check: lint  ## What to run before a commit: lint and the quick tests.
	$(BIN)/python -m pytest -q $(QUICK:%=tests/test_%.py) negation_api

test: $(VENV)/.dev  ## All tests that need Python packages only.
	$(BIN)/python -m pytest

explore: $(VENV)/.dev  ## The generated tests with cases that were not tried before.
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=default

test-system: $(VENV)/.dev .venv-spacy/.done  ## The tests that need more; installs that (Debian, root).
	scripts/install-system.sh
	$(call into,$(BIN)/python,-r requirements-spark.txt)
	$(BIN)/python -m pytest -m system
	.venv-spacy/bin/python -m pytest -m system tests/test_spacy.py

.PHONY: help install run model train report bench bench-shapes bench-notes bench-exits \
    wheel openapi picture format hashes lint audit check test explore test-system
