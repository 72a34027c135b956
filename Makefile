# A phone book: what there is to call. Logic lives in xtask/, .ci/ and tests/interop/.

export PATH := $(HOME)/.cargo/bin:$(PATH)
.PHONY: run test check interop bench load fmt setup

run:      ## the Standard Edition with demo people, on this machine
	cargo build -q --locked -p cli --bins && cargo run -q --locked -p cli --bin portico -- demo

test: setup   ## everything that needs no other program
	cargo build -q --locked -p cli --bins
	cargo nextest run --locked --workspace

check: setup  ## formatting, lints, dependency rules
	cargo fmt --all --check && cargo clippy -q --locked --workspace --all-targets -- -D warnings
	cargo xtask deny && cargo xtask fuzz

interop: setup  ## real clients: baresip, linphone, lyncdrive, SIPp
	tests/interop/install.sh && cargo build -q --locked -p cli --bins
	cargo nextest run --locked --profile interop -p tests

bench:    ## micro benchmarks
	cargo bench --locked --workspace

load:     ## the load tool; ARGS="--help" shows what it can do
	cargo run -q --release --locked -p portico-load -- $(ARGS)

fmt:      ## format everything
	cargo fmt --all

setup:    ## toolchain and test runner; prints or installs what is missing
	@.ci/setup
