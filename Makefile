# What a developer types. Whatever is needed is set up on the way, once; `make help` lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
MUTANTS := build/mutants
INSTALL := pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python -m $(INSTALL)
PYTEST := $(BIN)/python -m pytest -q
ALONE := $(BIN)/python -m tests.harness.network --
ALONE_WITHOUT_CLUSTER := $(BIN)/python -m tests.harness.network --without-cluster --
IN_MEMORY := $(BIN)/python -m tests.harness.network --files-only --
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kintsugi
PARTS := $(BIN)/python -m tests.harness.parts
IMAGE := $(BIN)/python -m tests.harness.product_image

CONTRACTS := $(filter-out tests/contract/kube,$(wildcard tests/contract/[a-z]*))
CRASHES := tests/integration/test_crash_points.py
RESTORE_CRASHES := tests/integration/test_crash_points_of_a_restore.py
TOLD_NO := tests/integration/test_killed_and_told_no.py
STACKS := tests/integration/test_runs_about_all_services.py
DATABASES := $(sort $(wildcard tests/integration/test_database*.py))
RESTORES := $(foreach what,backup restore,$(sort $(wildcard tests/integration/test_$(what)*.py)))
FAULTS := tests/cluster/test_faults.py
ENDS := tests/cluster/test_ends_of_faults.py
SEQUENCES := tests/cluster/test_sequences_at_the_real_clock.py
REAL := tests/contract/kube tests/cluster
STORIES := $(sort $(wildcard tests/cluster/test_story_*.py))
DATABASE_STORIES := $(filter tests/cluster/test_story_database% tests/cluster/test_story_standby%,$(STORIES))
EARLY_STORIES := $(filter tests/cluster/test_story_a% tests/cluster/test_story_b% tests/cluster/test_story_c%,$(STORIES))
ELSEWHERE := $(CRASHES) $(RESTORE_CRASHES) $(TOLD_NO) $(DATABASES) $(RESTORES)
EARLY_INTEGRATION := $(filter-out $(ELSEWHERE),$(sort $(wildcard tests/integration/test_[a-k]*.py)))
# One real cluster at a time, and one lane without beside it.
CLUSTER_LANES := $(addprefix lane-,late-stories early-stories database-stories faults ends sequences cluster)
LANES := $(addprefix lane-,integration early-integration restores crashes told-no databases contracts units restore-crashes)
# Two of them go at a time, the longest first: the two halves of the integration tests, which mostly wait, fill what the others leave.
QUICK_EARLY := $(sort $(wildcard tests/integration/test_[a-h]*.py))
QUICK := $(addprefix quick-,unit contract early-integration late-integration)
ROUNDS ?= 10
EXAMPLES ?= 10000
# A lane starts hundreds of processes: each would compile every module again where the environment forbids to keep the outcome.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo check test test-cluster test-all bench chaos sabotage mutants docs
.PHONY: lanes lanes-cluster $(LANES) $(CLUSTER_LANES) $(QUICK)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target does; do \
	    printf '%-10s %s\n' "$$target" "$$does"; \
	done

demo: $(READY) ## Break services on embedded clusters and watch them recover (SCENE=missing-image: that one alone)
	@$(BIN)/kintsugi demo $(if $(SCENE),--scene $(SCENE))

check: $(READY) ## Check format, style, types and layers
	@$(BIN)/ruff format --check --quiet . || { echo 'format: run ruff format'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary --cache-dir=$(CACHE)/mypy-$(firstword $(shell cksum requirements-test.lock))
	@$(BIN)/lint-imports --no-logo >.venv/layers.txt || { cat .venv/layers.txt; exit 1; }

test: $(READY) check ## Check everything, and run the tests that need no Kubernetes but the embedded one: eight minutes on two cores
	@$(MAKE) --jobs=2 --keep-going --output-sync=target $(QUICK) QUICKLY="FUZZ_EXAMPLES=50 $(IN_MEMORY) $(PYTEST) --maxfail=10 --timeout=300 -m 'not long and not cluster'"

quick-unit:
	@$(QUICKLY) tests/unit tests/pages

quick-early-integration:
	@$(QUICKLY) $(QUICK_EARLY)

quick-late-integration:
	@$(QUICKLY) $(foreach file,$(QUICK_EARLY),--ignore=$(file)) tests/integration

quick-contract:
	@$(QUICKLY) tests/contract

# What takes minutes to build is built after `make test` is green, and only what these tests use.
test-cluster: $(READY) ## Run the tests marked heart on a real Kubernetes, those that are red once more: a quarter of an hour
	@if [ -z "$${KINTSUGI_TEST_KUBECONFIG:-}" ]; then tests/harness/setup; $(PARTS) kubernetes coredns shop helm >/dev/null; $(IMAGE) >/dev/null; fi
	@$(BIN)/python -m tests.harness.heart

# Where no network of our own can be had (not root, not Linux), or a cluster is lent to us, the tests run as they are:
# those that need what is not there say so, and with CI=true that is a failure.
test-all: $(READY) check ## Run every test, on a real Kubernetes where one can be had: two hours
	@tests/harness/setup
	@alone=; without=; if [ -z "$${KINTSUGI_TEST_KUBECONFIG:-}" ] && $(ALONE) true; then \
	    $(PARTS) >/dev/null || [ "$${CI:-}" != true ]; \
	    $(IMAGE) >/dev/null || [ "$${CI:-}" != true ]; \
	    alone='$(ALONE)'; without='$(ALONE_WITHOUT_CLUSTER)'; \
	fi; \
	$(MAKE) --jobs=2 --keep-going lanes-cluster lanes \
	    CLUSTER_LANE="$$alone $(PYTEST) --durations=20" LANE="$$without $(PYTEST) --durations=20"

# One after the other, each to its end.
lanes-cluster lanes:
	@red=0; for lane in $(if $(filter lanes,$@),$(LANES),$(CLUSTER_LANES)); do $(MAKE) --output-sync=target $$lane || red=1; done; exit $$red

lane-units:
	@$(LANE) tests/unit tests/pages

lane-contracts:
	@$(LANE) $(CONTRACTS)

lane-early-integration:
	@$(LANE) $(EARLY_INTEGRATION)

lane-integration:
	@$(LANE) $(foreach file,$(ELSEWHERE) $(EARLY_INTEGRATION),--ignore=$(file)) tests/integration

lane-cluster:
	@$(CLUSTER_LANE) $(foreach story,$(STORIES),--ignore=$(story)) --ignore=$(FAULTS) --ignore=$(ENDS) --ignore=$(SEQUENCES) $(REAL)

lane-faults:
	@$(CLUSTER_LANE) $(FAULTS)

lane-ends:
	@$(CLUSTER_LANE) $(ENDS)

lane-sequences:
	@$(CLUSTER_LANE) --capture=no $(SEQUENCES)

lane-database-stories:
	@$(CLUSTER_LANE) $(DATABASE_STORIES)

lane-early-stories:
	@$(CLUSTER_LANE) $(EARLY_STORIES)

lane-late-stories:
	@$(CLUSTER_LANE) $(filter-out $(DATABASE_STORIES) $(EARLY_STORIES),$(STORIES))

lane-databases:
	@$(LANE) $(DATABASES)

lane-restores:
	@$(LANE) $(RESTORES)

lane-crashes:
	@$(LANE) $(CRASHES)

lane-restore-crashes:
	@$(LANE) $(RESTORE_CRASHES)

lane-told-no:
	@$(LANE) --capture=no $(TOLD_NO)

bench: $(READY) ## Measure what the daemon carries, beside an earlier revision or a floor (BASELINE=v1.0 PART='alerts watch')
	@$(BIN)/python -m tests.bench $(if $(BASELINE),--baseline $(BASELINE)) $(PART)

chaos: $(READY) ## Try ten thousand wrong answers of each kind, then break the real cluster again and again (ROUNDS=10)
	@seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; \
	    echo "wrong answers: $(EXAMPLES) of each kind, seed $$seed (again: make chaos SEED=$$seed)"; \
	    drawn="$(PYTEST) --hypothesis-profile=drawn --hypothesis-seed=$$seed"; \
	    CI= FUZZ_EXAMPLES=$(EXAMPLES) $$drawn --timeout=7200 tests/unit/answers; \
	    CI= $$drawn -m hypothesis --ignore=tests/unit/answers tests/unit
	@CI= FUZZ_HISTORIES=$(EXAMPLES) FUZZ_SEED=$${SEED:-$$RANDOM} $(PYTEST) --timeout=36000 tests/unit/pipeline/test_no_history_is_silent.py
	@KINTSUGI_ALL_PAIRS=1 $(PYTEST) --capture=no $(TOLD_NO) $(STACKS)
	@tests/harness/setup
	@$(PARTS) >/dev/null
	@$(IMAGE) >/dev/null
	@KINTSUGI_ALL_FAULTS=1 CI=true $(ALONE) $(PYTEST) --capture=no $(FAULTS)
	@KINTSUGI_ALL_FAULTS=1 CI=true $(ALONE) $(PYTEST) --capture=no $(ENDS)
	@$(BIN)/python -m tests.faults.results
	@for round in $$(seq $(ROUNDS)); do \
	    seed=$${SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}; echo "round $$round of $(ROUNDS), seed $$seed"; \
	    CI=true KINTSUGI_TEST_SEED=$$seed $(ALONE) $(PYTEST) $(REAL); \
	done

sabotage: $(READY) ## Take one behaviour after the other out of a copy, and see that its tests fail (ONLY='P3 freeze')
	@CI= $(BIN)/python -m tests.sabotage $(ONLY)

mutants: $(MUTANTS)/ready ## Change a module in many small ways in a copy, and list what no test notices (MODULE=daemon/kintsugi/decisions/guards.py)
	@$(MUTANTS)/bin/python -m tests.mutants $(MODULE) $(TESTS)

docs: $(READY) ## Write down which tests show what, the tables of commands, the document of the API, the manifests that the chart renders, and names that stay
	@$(BIN)/python -m tests.unit.project.coverage
	@$(BIN)/python -m tests.unit.project.guides
	@$(BIN)/python -m tests.harness.helm
	@$(BIN)/python -m tests.unit.project.openapi
	@$(BIN)/python -m tests.unit.project.wire_names

$(READY): requirements-test.lock pyproject.toml $(wildcard daemon/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Kintsugi needs Python 3.11 or newer, and {sys.executable} is older: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes --requirement requirements-test.lock
	@$(PIP) --no-deps --no-build-isolation --editable daemon/kubeobjects --editable daemon/kubediagnosis --editable daemon/kubesim --editable . --editable daemon/kintsugi_restore --editable daemon/kintsugi_demo --editable daemon/kintsugi_import
	@touch $@

# The tool that makes the changes stands beside the tests that it runs, and nothing else needs it.
$(MUTANTS)/ready: requirements-test.lock pyproject.toml
	@test -x $(MUTANTS)/bin/python || $(PYTHON) -m venv $(MUTANTS)
	@$(MUTANTS)/bin/python -m $(INSTALL) --require-hashes --requirement requirements-test.lock
	@$(MUTANTS)/bin/python -m $(INSTALL) --no-deps --no-build-isolation --editable daemon/kubeobjects --editable daemon/kubediagnosis --editable daemon/kubesim --editable . --editable daemon/kintsugi_restore --editable daemon/kintsugi_demo --editable daemon/kintsugi_import
	@$(MUTANTS)/bin/python -m $(INSTALL) --no-build-isolation --editable '.[mutants]'
	@touch $@
