# A phone book: what there is to call. Logic lives in xtask/, .ci/ and tests/interop/.

export PATH := $(HOME)/.cargo/bin:$(PATH)
.PHONY: run test check interop bench load fmt setup toolchain runner fuzzer

# Said before a build that is long and silent.
FIRST = @test -e target/$(1) || echo "building, a few minutes the first time"

run: toolchain  ## the Standard Edition with demo people, on this machine
	$(call FIRST,debug/portico)
	cargo build -q --locked -p cli --bins && cargo run -q --locked -p cli --bin portico -- demo

test: runner  ## everything that needs no other program
	$(call FIRST,debug/portico)
	cargo build -q --locked -p cli --bins
	cargo nextest run --locked --workspace

check: fuzzer  ## formatting, lints, documentation, dependency rules
	cargo fmt --all --check && cargo clippy -q --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc -q --no-deps --workspace --locked
	cargo xtask deny && cargo xtask fuzz

interop: runner  ## real clients: baresip, linphone, lyncdrive, SIPp
	tests/interop/install.sh
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

runner:   # that and the test runner
	@.ci/setup toolchain runner

fuzzer:   # that and a C++ compiler
	@.ci/setup toolchain fuzz
