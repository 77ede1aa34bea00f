# Every target sets up its own virtual environment on a fresh machine.
comma := ,
PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
STAMP := .venv/.installed-$(subst $(comma),-,$(EXTRAS))


.PHONY: install check test test-scale bench demo docs clients clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	@touch $@

check: $(STAMP)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(STAMP)  ## the tests, without a key; real questions and a small real model come through pip
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test-scale: $(STAMP)  ## the tests that take minutes: several gateways through a long row of failures
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m scale

CLIENTS := tests/gateway_clients/requirements.txt

clients: .clients/.installed  ## other projects' clients, which the gateway is tried with where they are installed

.clients/.installed: $(CLIENTS)
	@test -x .clients/bin/python || $(PYTHON) -m venv .clients
	.clients/bin/python -m pip install --quiet --disable-pip-version-check -r $(CLIENTS)
	@touch $@

demo: ## the whole loop on the bundled log
	@$(MAKE) --no-print-directory install EXTRAS=
	$(BIN)/fusionfactory demo --html demo.html

bench: $(STAMP)  ## figures of benchmarks/RESULTS.md; DATA=folder of the tables
	$(if $(DATA),$(BIN)/python benchmarks/routing.py $(DATA),@echo "no DATA=folder: routing and scorers are left out")
	$(if $(DATA),$(BIN)/python benchmarks/scorers.py $(DATA))
	$(if $(DATA),$(BIN)/python benchmarks/thought_bank.py $(DATA))
	$(BIN)/python benchmarks/latency.py $(DATA)
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/collect.py
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/thought_index.py $(DATA)
	$(BIN)/python benchmarks/thought_gate.py $(DATA)
	$(if $(DATA),$(BIN)/python benchmarks/scaling.py $(DATA)/fusionbench9.parquet --out scaling.json --sizes 1e4 1e5)

docs: $(STAMP)  ## rewrites docs/cli.md from the commands' own help
	$(BIN)/python docs/make_cli.py

clean:
	rm -rf .venv .clients build dist demo.html
