# Every target sets up what it needs: a virtual environment in .venv with the pinned, hashed requirements.
# Needs Python 3.11 to 3.13, make and a package index. PYTHON=python3.12 make demo chooses an interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := $(VENV)/audit
CONFIG ?= config.toml
ROUNDS ?= 200
CASES ?= 10000
# One process more than cores, for tests wait much of their time, at most four: each may load TensorFlow. A file's tests
# stay together, for their fixtures.
PARALLEL ?= --numprocesses $$(($$(nproc) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo pictures serve train-env test chaos check format bench lock clean help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/'

$(VENV)/run: requirements/run.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "SecondRead needs Python 3.11, 3.12 or 3.13, this is " + sys.version.split()[0] + ": say PYTHON=python3.12 make …")'
	@# where Debian's python3-venv was missing, a venv without pip is left: it is made again
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: $(VENV)/run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@touch $@

demo: $(VENV)/run ## send two real studies through a real node and show what comes back
	$(BIN)/python -m scp demo

pictures: $(VENV)/dev ## make the pictures of README.md and docs/viewers.md again: by the demo, and by OHIF in Chromium
	$(BIN)/python -m scp demo
	$(BIN)/python -m tests.support.docs_pictures var/demo docs
	SECONDREAD_PICTURES=docs $(BIN)/python -m pytest tests/peers/test_ohif.py

serve: $(VENV)/run ## run the node with config.toml (CONFIG=other.toml for another)
	$(BIN)/python -m scp --config $(CONFIG)

train-env: $(VENV)/dev ## install what `python -m models.training` needs: the extra train, from the pinned requirements

test: $(VENV)/dev ## run all tests, short forms of the chaos tests included, in one process more than there are cores (PARALLEL=: in this one); peers that are not installed are skipped (SECONDREAD_REQUIRE_PEERS=1: they fail)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

chaos: $(VENV)/dev ## kill, cut, fuzz for an hour: the long forms of what make test does briefly (ROUNDS=200 CASES=10000)
	SECONDREAD_CHAOS_ROUNDS=$(ROUNDS) SECONDREAD_FUZZ_CASES=$(CASES) $(BIN)/python -m pytest tests/chaos tests/peers/test_validators.py tests/property/test_queue_keeps_its_promises.py tests/property/test_commitments_keep_their_promises.py tests/crash/test_restored_database.py tests/crash/test_postgresql_stops.py -p no:randomly $(PYTEST_ARGS)
	$(BIN)/python bench/scale_out.py

# pip-audit has an environment of its own: it brings libraries that the program must not come to need.
audit: $(VENV)/run ## look the pinned requirements up among the known vulnerabilities (needs the internet)
	test -x $(AUDIT)/bin/pip-audit || ($(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/audit.txt) || echo "NOT AUDITED: no package index answers, pip-audit is not installed" >&2
	PIP_AUDIT=$(AUDIT)/bin/pip-audit $(BIN)/python -m tests.support.dependency_audit requirements/run.txt requirements/dev.txt

# Parts of check, which may be done beside each other: make --jobs 2 check
CHECKS := types style texts wheel audit
.PHONY: $(CHECKS)

check: $(CHECKS) ## format, lint, types, import rules, names, container, compose file, manifests, contents of the wheel, known vulnerabilities

types: $(VENV)/dev
	$(BIN)/mypy

style: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.names scp inference storage models bench tests

texts: $(VENV)/dev
	$(BIN)/hadolint docs/container/Containerfile
	$(BIN)/yamllint --strict docs
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docs/container/compose.yaml docs/container/bucket.yaml
	$(BIN)/kubernetes-validate --strict --quiet --kubernetes-version 1.32 $$(ls docs/kubernetes/base/*.yaml | grep -v kustomization)

wheel: $(VENV)/dev
	rm -rf dist && $(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python -m tests.support.wheel dist/*.whl

bench: $(VENV)/dev ## measure against real peers, five rounds of each bench, into docs/performance.md; goes on where it was ended (DCMTK, Orthanc, PostgreSQL; BENCH_ARGS=--busy beside other work)
	$(BIN)/python bench/all.py $(BENCH_ARGS)

format: $(VENV)/dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## pin the requirements anew (needs uv)
	uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --extra demo --extra postgresql --extra s3 --extra train --group dev --group build pyproject.toml --output-file requirements/dev.txt
	uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --constraint requirements/dev.txt --extra demo --extra postgresql --extra s3 --group build pyproject.toml --output-file requirements/run.txt
	uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --group pyproject.toml:audit --output-file requirements/audit.txt

clean: ## remove environment and caches; never var, where studies may be waiting
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
