# Every target sets up what it needs: a virtual environment in .venv with the tested versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
# Nothing here downloads a model or a data set; offline, libraries would look the hub up again and again.
OFFLINE := HF_HUB_OFFLINE=1

DEMO_OUT ?= runs/demo
# Local benchmark data for `make bench`; without it, benchmarks that come with the package are measured on.
DATA_DIR ?= $(IA2_DATA_DIR)

.PHONY: install demo test regress bench proof faults lint format clean

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

# Stored adapters are evaluated again and cells retrained, and compared with leaderboards/reference; about a minute.
regress: .venv/installed
	$(OFFLINE) OMP_NUM_THREADS=1 $(BIN)/ia2-eval regress --junit build/regression.xml

bench: .venv/installed
	$(OFFLINE) $(BIN)/python bench/collect_targets.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/many_adapters.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/icl_evaluation.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/adapter_evaluation.py $(if $(DATA_DIR),--data-dir $(DATA_DIR))
	$(OFFLINE) $(BIN)/python bench/mtbench_answers.py
	$(OFFLINE) $(BIN)/python bench/leaderboard_build.py
	$(OFFLINE) $(BIN)/python bench/two_workers.py
	$(OFFLINE) $(BIN)/python bench/dry_run.py
	$(OFFLINE) $(BIN)/python bench/status.py

# That the gate catches what is planted and nothing else, and that tests keep their level: about half an hour.
proof: .venv/installed
	$(OFFLINE) $(BIN)/python bench/regression_gate.py
	$(OFFLINE) $(BIN)/python bench/significance.py

# A sweep of 200 cells under kill -9 of its workers and drivers, and through Ray with a node removed half-way; what the
# engine itself costs. Up to an hour.
faults: .venv/installed
	$(OFFLINE) $(BIN)/python bench/faults.py
	$(OFFLINE) $(BIN)/python bench/faults_ray.py
	$(OFFLINE) $(BIN)/python bench/engine_overhead.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs build dist
