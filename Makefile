# Every line is a command you could type. The environment is made by the first target that needs it.
PYTHON ?= python3
BIN := .venv/bin
SCALE ?= $(or $(GAUSSBOOK_SCALE),default)
BACKEND ?= $(or $(GAUSSBOOK_BACKEND),auto)
export GAUSSBOOK_SCALE := $(SCALE)
export GAUSSBOOK_BACKEND := $(BACKEND)
.DEFAULT_GOAL := book

.PHONY: help book test chapter new serve pdf lab gpu bench links pair lint lock clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

book: .venv/ready ## build the site; run the chapters that changed
	$(BIN)/python -m bookbuild build

test: .venv/ready ## the book, then every test (a chapter that fails in the book fails again here)
	-$(BIN)/python -m bookbuild build
	$(BIN)/python -m pytest

chapter: .venv/ready ## make chapter NAME=ila_sdp [SCALE=paper] [BACKEND=cupy]
	$(BIN)/python -m bookbuild chapter $(NAME)

new: .venv/ready ## make new NAME=<slug>: the skeleton of a paper's chapter
	$(BIN)/python -m bookbuild new $(NAME)

serve: .venv/ready ## show the site on localhost
	$(BIN)/python -m bookbuild serve

pdf: book ## the whole book as _build/pdf/book.pdf
	$(BIN)/python -m bookbuild pdf

lab: .venv/ready ## open JupyterLab; a chapter's three forms stay paired
	$(BIN)/python -m bookbuild lab

gpu: .venv/ready ## the tests that need a GPU
	$(BIN)/python -m pytest -m gpu -n 0 tests

bench: .venv/ready ## our code against its peers, as ratios
	$(BIN)/python -m benchmarks

links: .venv/ready ## check the links that leave the site (needs the network)
	$(BIN)/jupyter-book build . --builder linkcheck

pair: .venv/ready ## carry an edit of .md, .py or .ipynb to the other two
	$(BIN)/python -m bookbuild pair

lint: .venv/ready ## check the style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

lock: ## resolve the newest versions and write them down
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --editable '.[book,test]'
	$(BIN)/pip freeze --exclude-editable > constraints.txt

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[book,test]'
	touch $@

clean: ## remove everything generated, but not the environment
	rm -rf _build book/*/*.ipynb
