# The few commands that are worth a name. `make run` and `make test` get what they need by themselves.

# What `make run` hands to the server: make run ARGS="--listen 127.0.0.1:9090 --data /srv/records"
ARGS ?=

# Rounds of `make faults`, and the seed that its schedule follows from: make faults ROUNDS=200 SEED=7
ROUNDS ?= 50
SEED ?=

# How long each target of `make fuzz` runs, and the seed that its inputs follow from: make fuzz SECONDS=60 SEED=7
SECONDS ?= 60

.PHONY: help run test faults fuzz advisories conformance clients bench setup definitions fmt lint

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: ## Build a release and start the server with a Postgres and a NATS of its own
	@scripts/setup.sh --release
	@cargo build --release --locked --bin anamnesis
	@exec target/release/anamnesis serve $(ARGS)

test: ## Run every test
	@scripts/setup.sh
	cargo test --workspace --locked

faults: ## Kill server, Postgres and NATS at random under load, and check every promise (ROUNDS, SEED)
	@scripts/setup.sh
	ANAMNESIS_FAULT_ROUNDS=$(ROUNDS) ANAMNESIS_FAULT_SEED=$(SEED) cargo test --locked --test faults -- --nocapture

fuzz: ## Feed what reads tokens, scopes and configurations with what nobody would write (SECONDS, SEED)
	ANAMNESIS_FUZZ_SECONDS=$(SECONDS) ANAMNESIS_FUZZ_SEED=$(SEED) cargo test --locked --test fuzz -- --nocapture

advisories: ## Look whether what we depend on has vulnerabilities that are known
	@scripts/advisories.sh

conformance: ## Run the tests over published resources and suites (ANAMNESIS_CORPUS, or ../shared/corpus)
	@scripts/conformance.sh

clients: ## Run published FHIR clients in Python and JavaScript against a server (needs python3, node and npm)
	@scripts/setup.sh
	@tests/clients/run.sh

bench: ## Measure
	@scripts/setup.sh --release
	cargo bench --workspace --locked

setup: ## Only get what is missing: Postgres and nats-server
	@scripts/setup.sh

definitions: ## Make the tables of R4 again: make definitions PACKAGE=folder of hl7.fhir.r4.core
	cargo run --locked -p anamnesis-fhir --example generate_definitions -- $(PACKAGE) fhir/definitions

fmt: ## Format the code
	cargo fmt --all

lint: ## Check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
