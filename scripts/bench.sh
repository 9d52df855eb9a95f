#!/usr/bin/env bash
# Side-by-side ratios, ours against a reference in the same run, a line each:
#   RATIO name value (ours X unit, reference Y unit)
# With names, only the ratios whose name starts with one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p qicore-benches --bin ratios
ratios=${CARGO_TARGET_DIR:-target}/release/ratios
[ $# -gt 0 ] && exec "$ratios" "$@"
# Each group in a process of its own: what one leaves behind in the heap is no part of the next.
for group in decode session pipeline lanes sink; do
  "$ratios" "$group"
done
