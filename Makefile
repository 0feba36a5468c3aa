# Every target sets up what it needs: a virtual environment in .venv with the tested versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Nothing here downloads a model or a data set; offline, libraries would look the hub up again and again.
OFFLINE := HF_HUB_OFFLINE=1

DEMO_OUT ?= runs/demo
# Local benchmark data for `make bench`; without it, benchmarks that come with the package are measured on.
DATA_DIR ?= $(IA2_DATA_DIR)

.PHONY: install demo test bench lint format clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/installed
	$(OFFLINE) $(BIN)/ia2-eval demo --out $(DEMO_OUT)

test: .venv/installed
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

bench: .venv/installed
	$(OFFLINE) $(BIN)/python bench/collect_targets.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/many_adapters.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/icl_evaluation.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/adapter_evaluation.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/mtbench_answers.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs build dist
