# Everything runs in a virtual environment of its own; all it needs is Python 3.11 or newer (on Debian, with python3-venv)
# and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Locust's own example files, which later source packages leave out.
EXAMPLES_OF := 2.29.1
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

FUZZ_SECONDS ?= 60

# What Python compiles is kept, whatever the environment says: whole runs start a thousand processes, each of which would
# compile all modules anew, which takes longer than to import Locust.
unexport PYTHONDONTWRITEBYTECODE

# Where `python3 -m venv` fails, for want of Debian's python3-venv say, it leaves a Python without pip behind.
.DELETE_ON_ERROR:

.PHONY: help demo test containers fuzz healthy lint docs package conf benchmark clean

help:
	@echo "make demo       a DJ, 60 dancers and a sandbox, 40 s, then the verdict"
	@echo "make test       all tests, whole runs included (about 10 minutes)"
	@echo "make fuzz       inputs that nobody thought of, a minute; make fuzz FUZZ_SECONDS=3600 for an hour"
	@echo "make containers brings up what docker-compose.yml has, and kills a worker (about 5 minutes, and Docker)"
	@echo "make healthy    five healthy runs of each scenario beside a busy process: none may blame the target (8 minutes)"
	@echo "make lint       ruff, mypy and import-linter"
	@echo "make docs       the documentation, into site/"
	@echo "make package    the built wheel in empty environments, on each Python of this machine (about 8 minutes)"
	@echo "make conf       what is made from the code: alert rules, a dashboard, the reference in docs/"
	@echo "make benchmark  what a dancer costs, beside websocket-client on gevent (about 4 minutes)"
	@echo "make clean      removes the virtual environment and what was built"

demo: $(VENV)/demo
	$(BIN)/locust --headless -f locustfiles/dancers.py -u 60 -r 30 -t 40s

# Whole runs by themselves: what computes beside them would make their generators late. They mostly wait, so that eight
# of them at a time leave half of two cores idle. Each process is given one test after the other, the long ones first.
# One whose generator was late has measured this machine. What whole runs meet on a busy one besides (a browser that takes
# its time, a fault that hits later than the load) is told apart by running them again; the end says which were,
# and why.
test: $(VENV)/test $(VENV)/share/locust-examples
	$(BIN)/python -m pytest -m alone --reruns 5 --reruns-delay 3 --only-rerun "MachineTooSlow|load generator overload"
	$(BIN)/python -m pytest -m "not alone and not e2e and not containers" -n 4 --dist worksteal
	$(BIN)/python -m pytest tests/e2e tests/docs -m "e2e and not alone" -n 8 --maxschedchunk 1 --reruns 5 --reruns-delay 3

containers: $(VENV)/test
	$(BIN)/python -m pytest tests/containers -m containers

fuzz: $(VENV)/test
	$(BIN)/python -m pytest tests/fuzz -n 2 --fuzz-seconds $(FUZZ_SECONDS)

healthy: $(VENV)/test
	$(BIN)/python -m tests.healthy

lint: $(VENV)/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

package: $(VENV)/test
	$(BIN)/python -m tests.package $(addprefix --python ,$(PYTHONS))

# What is made from the code; tests hold the two together.
conf: $(VENV)/test
	$(BIN)/python -m tests.deployment.alert_rules
	$(BIN)/python -m tests.deployment.dashboard
	$(BIN)/python -m tests.docs.reference

benchmark: $(VENV)/test
	$(BIN)/python -m tests.benchmarks.websocket

clean:
	rm -rf $(VENV) build site *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: $(BIN)/python pyproject.toml
	$(PIP) -e .
	@touch $@

$(VENV)/test: $(BIN)/python pyproject.toml
	$(PIP) -e '.[test]'
	@touch $@

$(VENV)/share/locust-examples: $(BIN)/python
	$(BIN)/python -m pip --disable-pip-version-check download --quiet --no-deps --no-binary locust \
		--dest $(VENV)/sdist locust==$(EXAMPLES_OF)
	tar -xzf $(VENV)/sdist/locust-$(EXAMPLES_OF).tar.gz -C $(VENV)/sdist
	@mkdir -p $(VENV)/share
	mv $(VENV)/sdist/locust-$(EXAMPLES_OF)/examples $@

$(VENV)/docs: $(BIN)/python pyproject.toml
	$(PIP) -e '.[docs]'
	@touch $@

$(VENV)/lint: $(BIN)/python pyproject.toml
	$(PIP) -e '.[test,lint]'
	@touch $@
