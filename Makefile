# A phone book: what there is to call. Logic lives in xtask/, .ci/ and tests/interop/.

export PATH := $(HOME)/.cargo/bin:$(PATH)
.PHONY: run test check check-deploy interop bench load fmt setup toolchain runner services fuzzer
.PHONY: up down logs ps scale image compose-test

# Compose 2 is a plugin, 1.29.2 (Debian 12) a program of its own.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

# Said before a build that is long and silent.
FIRST = @test -e target/$(1) || echo "building, a few minutes the first time"

run: toolchain  ## the Standard Edition with demo people, on this machine
	$(call FIRST,debug/portico)
	cargo build -q --locked -p cli --bins && cargo run -q --locked -p cli --bin portico -- demo

test: services  ## everything but real clients; with Postgres and Redis started by the tests
	$(call FIRST,debug/portico)
	cargo build -q --locked -p cli --bins
	cargo nextest run --locked --workspace
	PORTICO_TEST_TOPOLOGY=pool cargo nextest run --locked --workspace --profile pool

check: fuzzer check-deploy  ## formatting, lints, documentation, dependency rules, what is in deploy/
	cargo fmt --all --check && cargo clippy -q --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc -q --no-deps --workspace --locked
	cargo xtask deny && cargo xtask fuzz

up:       ## the pool in containers: three front ends behind a balancer; .env.example says what can be set
	@set -a; [ ! -e .env ] || . ./.env; deploy/secrets.sh "$${POOL_SECRETS:-./deploy/secrets}"
	$(COMPOSE) up -d
	@echo "clients connect to 127.0.0.1:5061 (or POOL_LISTEN) and trust deploy/secrets/ca.pem"

down:     ## stops it; the database stays, ARGS=-v forgets it too
	$(COMPOSE) down $(ARGS)

logs:     ## what its members say; ARGS="-f front-end" follows some
	$(COMPOSE) logs --tail=100 $(ARGS)

ps:       ## what runs and how it is
	$(COMPOSE) ps

scale:    ## as many front ends as N says
	$(COMPOSE) up -d --no-recreate --scale front-end=$(or $(N),$(error N=4, say))

image: toolchain  ## the server's image from binaries built here
	$(call FIRST,release/portico)
	cargo build -q --release --locked -p cli --bins
	docker build -t portico/server:dev -f deploy/docker/Dockerfile.prebuilt .

compose-test: runner  ## the pool in containers with real clients, on images made here (deploy/offline/)
	deploy/offline/compose-test.sh

check-deploy:  ## what is in deploy/, without starting it
	deploy/check.sh

interop: runner  ## real clients: baresip, linphone, lyncdrive, SIPp
	tests/interop/install.sh && tests/interop/otlp.sh
	$(call FIRST,debug/portico)
	cargo build -q --locked -p cli --bins
	cargo nextest run --locked --profile interop -p tests

bench: toolchain  ## micro benchmarks
	cargo bench --locked --workspace --bench '*'

load: toolchain  ## the load tool; ARGS="--help" shows what it can do
	$(call FIRST,release/portico-load)
	cargo run -q --release --locked -p portico-load -- $(ARGS)

fmt: toolchain  ## format everything
	cargo fmt --all

setup:    ## all that is needed for the above; prints or installs what is missing
	@.ci/setup

toolchain:  # a C compiler and Rust
	@.ci/setup toolchain

services: # the test runner, and the programs that tests start
	@.ci/setup toolchain runner services

runner:   # that and the test runner
	@.ci/setup toolchain runner

fuzzer:   # that and a C++ compiler
	@.ci/setup toolchain fuzz
