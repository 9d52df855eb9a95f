#!/usr/bin/env bash
# Side-by-side ratios, ours against a reference in the same run, a line each:
#   RATIO name value (ours X unit, reference Y unit)
# With names, only the ratios whose name starts with one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo run --quiet --release -p qicore-benches --bin ratios -- "$@"
