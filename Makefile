# The only door: every way to run, test and check this project goes through here.
BIN := .venv/bin
# Tests wait for sockets and processes more than they compute.
RUNNERS := $(shell echo $$((($$(nproc 2>/dev/null || echo 2) * 3 + 1) / 2)))
.DEFAULT_GOAL := help

.PHONY: help run demo test test-compiled soak lint types wheel bench bench-quick simulate format docs lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

.venv/ready: requirements-dev.txt pyproject.toml tools/venv
	@tools/venv

run: .venv/ready ## start the gateway with the stub API and authorization server behind it
	@tools/run

demo: .venv/ready ## play the story in this terminal
	@$(BIN)/python -m upstream_stub.demo

test: .venv/ready ## run the tests (installs the programs that they need, where it may)
	@tools/programs
	@$(BIN)/python -m pytest -n $(RUNNERS) --dist worksteal -m "not soak" tests
	@$(BIN)/python -m coverage run -m pytest -q -p no:cacheprovider tests/core
	@$(BIN)/python -m coverage report

soak: .venv/ready ## the long tests
	@tools/programs
	@GATEWAY_TEST_PROFILE=soak $(BIN)/python -m pytest -m "soak or not soak" --timeout 1800 tests

lint: .venv/ready ## style and mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/ready ## mypy --strict
	@$(BIN)/mypy

dist/ready: .venv/ready setup.py pyproject.toml tools/wheel $(shell find gateway -name '*.py')
	@tools/wheel

wheel: dist/ready ## build the wheel that is installed, its hot path compiled, into dist/

test-compiled: dist/ready ## the end-to-end tests against that wheel
	@tools/programs
	@tools/test-compiled

bench: dist/ready ## measure beside nginx, Envoy and others on two cores (15 min), and write docs/performance.md
	@tools/bench
	@.venv-bench/bin/python -m bench --write

bench-quick: dist/ready ## the short form (under 2 min); writes nothing that is kept in git
	@tools/bench
	@.venv-bench/bin/python -m bench --quick

simulate: .venv/ready ## fleets of up to 200 replicas and 100,000 users, in virtual time (5 min); writes docs/scaling.md
	@$(BIN)/python -m simulation --write

format: .venv/ready ## apply the style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: .venv/ready ## write what is generated, from the configuration's models and the last figures
	@$(BIN)/gateway schema --markdown > docs/configuration.md
	@$(BIN)/gateway schema > gateway.schema.json
	@[ ! -e docs/performance.json ] || $(BIN)/python -m bench --page
	@[ ! -e docs/scaling.json ] || $(BIN)/python -m simulation --page

lock: .venv/ready ## choose new versions; the lock files hold names, versions and hashes only
	@$(BIN)/python -m pip install -q uv
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --upgrade \
		--python-version 3.11 pyproject.toml --extra redis -o requirements.txt
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --upgrade \
		--python-version 3.11 pyproject.toml --extra redis --group dev -c requirements.txt -o requirements-dev.txt
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --upgrade \
		--python-version 3.11 pyproject.toml --extra redis --group bench -c requirements.txt -o requirements-bench.txt

clean: ## forget what was installed and cached
	@rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist *.egg-info
