#!/usr/bin/env bash
# Format, lint, every test, each feature alone, the examples and a short crash campaign. What CI calls.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

command -v cc >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc; }
# librdkafka is built with these.
command -v c++ >/dev/null && command -v make >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists openssl ||
  { apt-get update -qq && apt-get install -y -qq g++ make pkg-config libssl-dev; }
command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
command -v kcat >/dev/null || { apt-get update -qq && apt-get install -y -qq kcat; }
command -v psql >/dev/null || { apt-get update -qq && apt-get install -y -qq postgresql-client; }
command -v curl >/dev/null || { apt-get update -qq && apt-get install -y -qq curl; }
command -v node >/dev/null && command -v npm >/dev/null ||
  { echo "node and npm are missing (20 or newer): TimescaleDB and ClickHouse come by them in the tests" >&2; exit 1; }
# What incremental builds keep is never used again in a clean clone, and takes a third of the disk.
export CARGO_TERM_COLOR=never RUST_BACKTRACE=1 CARGO_INCREMENTAL=0
built=${CARGO_TARGET_DIR:-$PWD/target}/debug

# Servers that all tests share; those that kill servers have some of their own. Gone with this script.
services=$(mktemp -d)
export QICORE_SERVICES_CACHE=${QICORE_SERVICES_CACHE:-$PWD/target/services-npm}
stop_services() {
  QICORE_SERVICES_DIR=$services ./scripts/services.sh stop >&2 || true
  rm -rf "$services"
}
trap stop_services EXIT
step "servers"
eval "$(QICORE_SERVICES_DIR=$services ./scripts/services.sh start --with $$ clickhouse kafka postgres timescale)"

step "format"
cargo fmt --all --check

step "lint"
cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings

step "each feature alone"
./scripts/features.sh

step "tests"
cargo test --quiet --workspace --all-features

# An example that hangs is an error, and not the end of CI's patience.
example() { timeout 600 "$built/examples/$1" || { echo "the example $1 has failed, or not ended" >&2; return 1; }; }

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --all-features

# Programs are those that the tests were built with: another set of features would build all of it again.
step "quickstart"
example quickstart

for store in timescale clickhouse; do
  step "example: $store"
  example "$store"
  # Again, where all is known.
  told=$(example "$store")
  [[ $told = "0 rows written"* ]] || { echo "the second run wrote rows again: $told" >&2; exit 1; }
done

for flow in analytical backfill_flow; do
  step "example: $flow"
  example "$flow"
done
# What is in the topics any client can read.
kcat -b "$QICORE_KAFKA_BROKERS" -C -e -q -c 1 -t ohlcv-validated | grep -q '"type":"candle".*"validated_at"' ||
  { echo "kcat reads no validated candle" >&2; exit 1; }

step "crash campaigns, and beside them the example realtime, which takes as long as its recordings"
example realtime >"$services/realtime.out" 2>&1 &
realtime=$!
export QICORE_PROGRAM=$built/qicore
./scripts/crash-campaign.sh files 4
./scripts/crash-campaign.sh timescale 3
./scripts/crash-campaign.sh timescale-wasm 1
./scripts/crash-campaign.sh clickhouse 3
./scripts/crash-campaign.sh platform 2
./scripts/crash-campaign.sh venues 1

wait "$realtime" || { cat "$services/realtime.out" >&2; echo "the example realtime has failed" >&2; exit 1; }

if command -v cargo-deny >/dev/null; then
  step "licences, bans, sources"
  cargo deny --all-features check
fi
step "done"
