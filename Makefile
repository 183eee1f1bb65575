# Linli 邻里. `make` lists what it can do; `make start` needs Python 3.11 or later, npm and nothing else.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SOURCES := app.py chalicelib infra bench tests

.DEFAULT_GOAL := help
.PHONY: help start demo test mutants test-cloud simulate check bench openapi package deploy releases secrets constraints clean \
	installed installed-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

start: installed ## Run everything on this machine (LINLI_PORT, LINLI_DATA)
	@exec $(RUN) -m infra.local.start --with-parent

demo: installed ## Play the whole story against a running `make start`
	@$(RUN) -m infra.ops.demo

test: installed-dev ## Run all tests; nothing needs to be started
	@$(RUN) -m pytest -n 2 -m "not stack and not cloud"
	@$(RUN) -m pytest -m stack
	@$(RUN) -m pytest -m cloud

mutants: installed-dev ## Plant mistakes into copies of the product, one at a time, and see them found (NAME, ARGS)
	@$(RUN) -m tests.simulation.mutants $(NAME) $(ARGS)

test-cloud: installed-dev ## Deploy the built packages to MiniStack with IAM enforced, and play the story there
	@$(RUN) -m pytest tests/cloud

simulate: installed-dev ## Simulate SEEDS=1000 runs and each fault (JOURNEY, WORKERS), or play one again (PLAN, SHRINK=1)
	@$(RUN) -m tests.simulation $(if $(PLAN),$(if $(SHRINK),--shrink,--replay) '$(PLAN)',--seeds '$(or $(SEEDS),1000)') \
		$(addprefix --journey ,$(JOURNEY)) $(if $(WORKERS),--workers '$(WORKERS)') $(ARGS)

check: installed-dev ## Lint, formatting, types, and which module may import which
	@$(RUN) -m ruff check $(SOURCES)
	@$(RUN) -m ruff format --check $(SOURCES)
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports

bench: $(if $(filter search,$(NAME)),installed-dev,installed) ## Run the quick benchmarks, or NAME=load with ARGS="--seconds 60"
	@$(RUN) -m bench $(NAME) $(ARGS)

openapi: installed ## Write the OpenAPI document
	@$(RUN) -m infra.ops.openapi

package: installed ## Build what is deployed to the cloud (STAGE)
	@$(RUN) -m infra.ops.package --stage $(or $(STAGE),prod)

deploy: installed ## Bring a stage to what the code says (STAGE, DRY=1, RELEASE, REGION, TELL="NAME=value …")
	@$(RUN) -m infra.ops.deploy_cli --stage '$(STAGE)' $(if $(DRY),--dry-run) $(if $(RELEASE),--release '$(RELEASE)') \
		$(if $(REGION),--region '$(REGION)') $(if $(TELL),--tell '$(TELL)')

releases: installed ## List the versions that a stage can go back to (STAGE)
	@$(RUN) -m infra.ops.deploy_cli --stage '$(STAGE)' --list $(if $(REGION),--region '$(REGION)')

secrets: installed ## Make the keys of a stage, ask for Stripe's and WeChat's (STAGE)
	@$(RUN) -m infra.ops.secrets --stage '$(STAGE)' $(if $(REGION),--region '$(REGION)')

constraints: ## Resolve requirements-dev.txt anew into constraints.txt
	@rm -rf build/constraints
	@$(PYTHON) -m venv build/constraints
	@build/constraints/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@{ head -n 1 constraints.txt && build/constraints/bin/pip freeze; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt

clean: ## Remove what was installed and built; the data in .linli stays
	@rm -rf $(VENV) node_modules build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A few milliseconds when nothing has changed.
define INSTALL
@command -v $(PYTHON) > /dev/null || { echo "linli: $(PYTHON) is not installed; Python 3.11 or later is needed" >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("linli: Python 3.11 or later is needed, $(PYTHON) is " + sys.version.split()[0] + "; choose one with PYTHON=")'
@$(PYTHON) -m infra.local.bootstrap
endef

installed:
	$(INSTALL) start

installed-dev:
	$(INSTALL) dev
