# make run    set up what a portal needs (no torch without an NVIDIA GPU) and run it on http://127.0.0.1:8000
# make demo   the same as a public demonstration (docs/security.md), with an instance folder of its own; PORT is its port
# make test   set up everything and run the whole test suite; make test-quick leaves out what takes minutes
# make torture  every promise with its figure, in one table; hours; TORTURE="--quick --results FILE" for less, in parts
# make bench  measure this machine; BENCH="--scans 100000 --write docs/performance.md" for more
# make lock   after a change of a requirements file: the packages that are deployed, with the hashes of their files
# make sbom   the software bill of materials of what is deployed (CycloneDX), sbom.cdx.json
# make audit-packages  whether known vulnerabilities are in it; 2 where nobody could be asked
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
GPU    := $(shell test -e /proc/driver/nvidia/version && echo yes)
SERVE  := $(if $(GPU),requirements.txt,requirements-serve.txt)
# A file of tests at a time to each process.
SHARED_OUT := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"
TOOLS  := .venv-supply-chain

.PHONY: run demo test test-quick bench torture lint lock sbom audit-packages install install-train install-test

run: install
	@exec $(BIN)/python -m webapp.process.launch

demo: install
	@GLIOSCOPE_AUTH=demo GLIOSCOPE_INSTANCE="$${GLIOSCOPE_INSTANCE:-$(CURDIR)/instance-demo}" \
	GLIOSCOPE_BIND="$${GLIOSCOPE_BIND:-127.0.0.1:$${PORT:-8000}}" exec $(BIN)/python -m webapp.process.launch

test: install-test
	$(BIN)/python -m pytest $(SHARED_OUT)

test-quick: install-test
	$(BIN)/python -m pytest $(SHARED_OUT) -m "not (browser or data or long)"

bench: install-test
	$(BIN)/python -m bench $(BENCH)

torture: install-test
	$(BIN)/python -m bench torture $(TORTURE)

lint: install-test node_modules/.installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	node_modules/.bin/tsc -p .

# All platforms and every Python from 3.11 on in one file. What is locked stays, except where a requirement says otherwise.
lock:
	@command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)."; exit 1; }
	@uv pip compile $(LOCKED) -o requirements-serve.lock requirements-serve.txt
	@uv pip compile $(LOCKED) -o requirements-container.lock -c requirements-serve.lock requirements-s3.txt requirements-dicom-network.txt

sbom: $(TOOLS)/.installed
	@$(TOOLS)/bin/cyclonedx-py requirements requirements-container.lock --output-reproducible --of JSON -o sbom.cdx.json
	@echo "sbom.cdx.json lists every package of requirements-container.lock."

audit-packages: $(TOOLS)/.installed
	@$(TOOLS)/bin/python deploy/package_audit.py requirements-container.lock $(TOOLS)/bin/pip-audit

$(TOOLS)/.installed: requirements-supply-chain.txt
	@$(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

install: $(VENV)/.installed-$(SERVE)

install-train: $(VENV)/.installed-requirements.txt

install-test: $(VENV)/.installed-requirements-test.txt

# The stamp is older than a requirements file that changed: then the environment is brought up to date.
# Bytecode as pip writes it: where Python may write none, each process would compile torch or Flask anew, for seconds.
$(VENV)/.installed-%: requirements.txt requirements-serve.txt requirements-s3.txt requirements-dicom-network.txt requirements-traces.txt requirements-test.txt | $(BIN)/python
	@echo "Installing $* ..."
	@if command -v uv >/dev/null; then uv pip install --quiet --compile-bytecode --python $(BIN)/python -r $*; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $*; fi
	@touch $@

# For `make lint` alone: the portal serves static/js as it is.
node_modules/.installed: package.json package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "make lint checks static/js with TypeScript: it needs node and npm (Debian: apt-get install nodejs npm)."; exit 1; }
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Glioscope needs Python 3.11 or newer." if sys.version_info < (3, 11) else 0)'
	@if command -v uv >/dev/null; then uv venv --quiet --python "$$(command -v $(PYTHON))" $(VENV); else $(PYTHON) -m venv $(VENV); fi
