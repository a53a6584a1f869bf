# Everything runs from .venv, which every target first builds from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
TWO := --numprocesses 2 --dist loadfile
PROSE := .ci .github *.cff *.md *.toml *.yml Makefile benchmarks classify data_manifests docs ffpp_tools tests

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow coverage lint hooks types docs build clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## create .venv with the package and its locked dependencies

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: install  ## run the complete workflow on small drawn data, in about two minutes
	@if [ -e $(DEMO)/DRAWN.txt ]; then rm -rf $(DEMO); fi
	$(BIN)/ffpp-demo --out $(DEMO)
	$(BIN)/ffpp-extract $(DEMO)/FaceForensics++ --every 5 --out $(DEMO)/dataset
	$(BIN)/ffpp-stills $(DEMO)/CelebA --category CelebA --out $(DEMO)/dataset
	$(BIN)/ffpp-stills $(DEMO)/CelebA-HQ --category CelebA-HQ --out $(DEMO)/dataset
	$(BIN)/ffpp-clean $(DEMO)/dataset
	$(BIN)/ffpp-split $(DEMO)/dataset --mode videos --ratios 60/20/20 --out $(DEMO)/manifests/videos
	$(BIN)/ffpp-audit $(DEMO)/manifests/videos
	$(BIN)/classify train --manifest $(DEMO)/manifests/videos --arch sepconv --epochs 20 --out $(DEMO)/runs/sepconv
	$(BIN)/classify report $(DEMO)/runs/sepconv

test: install  ## run the test suite
	$(BIN)/python -m pytest $(TWO)

test-slow: install  ## run the slow tests: full-size networks, complete workflows, packaging, docs
	$(BIN)/python -m pytest $(TWO) -m slow

coverage: install  ## run the test suite and measure line coverage, subprocesses included
	$(BIN)/python -m pytest $(TWO) --cov --cov-report=term

lint: install  ## check style, formatting and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell $(PROSE)

hooks: install  ## run the checks of `make lint types` on every commit
	$(BIN)/pre-commit install

types: install  ## check types
	$(BIN)/mypy

docs: install  ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

build: install  ## build wheel and sdist into dist/
	rm -rf dist
	$(BIN)/hatchling build

clean:  ## delete everything that was built, including the demo
	@if [ -e $(DEMO)/DRAWN.txt ]; then rm -rf $(DEMO); fi
	rm -rf .venv dist site .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*
