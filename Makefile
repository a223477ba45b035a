# One command each: what CI runs is what a person runs.

BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPING := .venv/.developing
# The version of uv that wrote uv.lock, so that the lock reads the same everywhere.
UV_VERSION := 0.13.9
# Hundreds of interpreters are started here. Where none may keep bytecode, each compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install develop up demo test check mutants docs soak bench

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with the mailer command and all that its parts need.

develop: $(DEVELOPING) ## The same with the tools for tests, checks and docs.

$(INSTALLED): uv.lock pyproject.toml
	@$(call sync,--no-dev)
	@touch $@

$(DEVELOPING): uv.lock pyproject.toml
	@$(call sync,)
	@touch $@ $(INSTALLED)

define sync
set -e; echo "Installing into .venv: a minute or so, the first time"; \
test -x $(BIN)/python || ./ops/venv .venv; \
$(BIN)/python -m uv --version 2>/dev/null | grep -qF "uv $(UV_VERSION)" || \
	$(BIN)/python -m pip install --quiet "uv==$(UV_VERSION)"; \
UV_PROJECT_ENVIRONMENT=.venv VIRTUAL_ENV= $(BIN)/python -m uv sync --locked --all-extras --quiet $(1)
endef

up: install ## Run everything on this host, until Ctrl-C.
	@$(BIN)/mailer up

demo: install ## Watch a few thousand messages flow through all of it; the report is in demo-report/.
	@$(BIN)/mailer demo

test: develop ## Run the tests: four files at a time, then alone what measures time.
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not timing"
	@$(BIN)/pytest -m timing

check: develop ## Check style, types, import layers, Lua, prose and docs.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ops.lint_lua mailer/queue/lua/*.lua ops/soak/*.lua
	$(BIN)/python -m ops.lint_prose mailer ops docs README.md CONTRIBUTING.md
	$(BIN)/python -m ops.docs --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

mutants: develop ## Break the code in a hundred small ways, and see that a test notices each.
	@$(BIN)/python -m ops.mutants

docs: develop ## Write the generated pages and figures anew, and build the site in build/site.
	@$(BIN)/python -m ops.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "file://$(CURDIR)/build/site/index.html"

soak: develop ## Break things for a long time and count what was lost.
	@$(BIN)/python -m ops.soak

bench: develop ## Measure what the README says, and write it into docs/.
	@$(BIN)/python -m ops.bench all --docs docs; met=$$?; $(BIN)/python -m ops.docs; exit $$met
