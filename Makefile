.PHONY: demo docs test

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

demo: $(INSTALLED)
	$(BIN)/anogan demo

docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -f docs/site/mkdocs.yml
	@echo site/index.html

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# The stamp is written last, so that an interrupted installation is made anew.
$(INSTALLED): pyproject.toml
	@$${PYTHON:-python3} -c 'import sys; sys.exit("anogan needs Python 3.11 or newer, got " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$${PYTHON:-python3} -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --editable '.[test]'
	touch $@
