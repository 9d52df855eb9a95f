#!/usr/bin/env bash
# Format, lint, every test, each feature alone, the examples and a short crash campaign. What CI calls.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

command -v cc >/dev/null || { apt-get update -qq && apt-get install -y -qq gcc; }
command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
export CARGO_TERM_COLOR=never RUST_BACKTRACE=1

step "format"
cargo fmt --all --check

step "lint"
cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings

step "each feature alone"
./scripts/features.sh

step "tests"
cargo test --quiet --workspace --all-features

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps --all-features

step "quickstart"
cargo run --quiet --example quickstart

step "crash campaign"
./scripts/crash-campaign.sh files 4

if command -v cargo-deny >/dev/null; then
  step "licences, bans, sources"
  cargo deny --all-features check
fi
step "done"
