.PHONY: demo docs laws lint mutants test test-all

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What must hold however a processor rounds: `make laws` runs these as two other processors would.
LAWS := tests/gan tests/views tests/detectors tests/evaluation/test_metrics.py tests/runs/test_bundle.py \
	tests/sensors/test_alarms.py tests/sensors/test_training.py tests/photos/test_model.py tests/photos/test_training.py
# Two processes of one thread each; more threads in one process alone, or they wait for each other's core.
PYTEST := $(BIN)/python -m pytest --numprocesses $(if $(filter-out 1,$(OMP_NUM_THREADS)),0,2) --dist loadfile

demo: $(INSTALLED)
	$(BIN)/anogan demo

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f docs/site/mkdocs.yml
	@echo site/index.html

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST) -m 'not slow'

test-all: test
	$(PYTEST) -m slow
	$(MAKE) laws

laws: $(INSTALLED)
	MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=AVX2 $(PYTEST) -m 'not slow' $(LAWS)
	ATEN_CPU_CAPABILITY=default $(PYTEST) -m 'not slow' $(LAWS)

# Small changes to the code that a score hangs on, each of which a test should notice; those that none does are listed.
# MODULE=gan.losses tries those of one module alone.
mutants: $(INSTALLED)
	OMP_NUM_THREADS=1 PYTHONPATH= $(BIN)/mutmut run --max-children 2 $(MODULE:%='anogan.%.*')
	$(BIN)/mutmut results | grep -v 'not checked' || true

# The stamp is written last, so that an interrupted installation is made anew.
$(INSTALLED): pyproject.toml
	@$${PYTHON:-python3} -c 'import sys; sys.exit("anogan needs Python 3.11 or newer, got " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$${PYTHON:-python3} -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --editable '.[test]'
	touch $@
