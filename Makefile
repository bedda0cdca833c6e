# Developer commands. Each sets up what it needs: python3 (3.11 or later) with venv, make and git are enough.
# `make` alone lists them.

PYTHON ?= python3
PORT ?= 3000
SAMPLES ?= yes
SHARED ?= ../shared

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
BENCH_INSTALLED := $(VENV)/bench-installed
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	--only-binary=:all:
WITH_TOOLS := PATH="$(CURDIR)/$(BIN):$$PATH"
export PYTHONPATH := layers/lifestream
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help
.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## upload the sample recordings, ask a question, print the cited answer
	@$(BIN)/python -m local demo

.PHONY: local
local: $(INSTALLED) ## serve everything on http://127.0.0.1:3000 (PORT=, SAMPLES=no) until interrupted
	@$(BIN)/python -m local serve --port $(PORT) $(if $(filter no,$(SAMPLES)),--no-samples)

.PHONY: services
services: $(INSTALLED) ## the AWS stand-ins alone, for `sam local` to run against
	@$(BIN)/python -m local services --ingest

.PHONY: test
test: $(INSTALLED) ## every test that can run here
	$(WITH_TOOLS) $(BIN)/python -m pytest

.PHONY: check
check: $(INSTALLED) ## linters, types, import contracts, the template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sam validate --lint --region us-east-1
	$(BIN)/cfn-lint template.yaml

.PHONY: build
build: $(INSTALLED) ## build functions and layers for Lambda (LIFESTREAM_ARCH=arm64, LIFESTREAM_PYTHON=3.14)
	$(WITH_TOOLS) sam build

.PHONY: deploy
deploy: build ## deploy into your AWS account, asking for what it needs to know
	$(WITH_TOOLS) sam deploy --guided

.PHONY: bench
bench: $(BENCH_INSTALLED) ## measure ranking, on the evaluation set in SHARED (default ../shared), and speed
	$(BIN)/python -m tests.bench.retrieval $(SHARED)/eval/qmsum/val
	$(BIN)/python -m tests.bench.speed

.PHONY: reindex
reindex: $(INSTALLED) ## make the deployed index anew (AWS_S3_BUCKET_NAME=, LIFESTREAM_TABLE_NAME=, AWS_REGION=)
	@$(BIN)/python -m lifestream.reindex

.PHONY: openapi
openapi: $(INSTALLED) ## write functions/site/openapi.json and docs.html anew, after a change of the contract
	$(BIN)/python -m local.openapi

.PHONY: lock
lock: $(INSTALLED) ## resolve every dependency anew, after a change of what is asked for
	$(WITH_TOOLS) $(MAKE) -C layers/lifestream lock
	$(WITH_TOOLS) $(MAKE) -C layers/engines lock
	$(BIN)/uv pip compile --quiet --group dev layers/lifestream/requirements.in layers/engines/requirements.in \
		--constraint layers/lifestream/requirements.txt --constraint layers/engines/requirements.txt \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' \
		--output-file requirements-dev.txt
	$(BIN)/uv pip compile --quiet --group bench --constraint requirements-dev.txt \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' \
		--output-file requirements-bench.txt

$(INSTALLED): requirements-dev.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL) --requirement requirements-dev.txt
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED) requirements-bench.txt
	$(PIP_INSTALL) --requirement requirements-bench.txt
	@touch $@
