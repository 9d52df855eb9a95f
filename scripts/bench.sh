#!/usr/bin/env bash
# Side-by-side ratios, ours against a reference in the same run, a line each:
#   RATIO name value (ours X unit, reference Y unit)
# With names, only the ratios whose name starts with one of them.
# `timescale` needs a real PostgreSQL: that of QICORE_POSTGRES_URL, or one that is started for it.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${CARGO_TARGET_DIR:-target}/release

timescale() {
  local services=
  cargo build --quiet --release -p qicore-benches --bin timescale
  if [ -z "${QICORE_POSTGRES_URL:-}" ]; then
    services=$(mktemp -d)
    eval "$(QICORE_SERVICES_DIR=$services ./scripts/services.sh start --with $$ postgres)"
  fi
  "$programs/timescale" "$@"
  [ -z "$services" ] || { QICORE_SERVICES_DIR=$services ./scripts/services.sh stop postgres >&2; rm -rf "$services"; }
}

if [[ "${1:-}" = timescale* ]]; then
  timescale "$@"
  exit
fi
cargo build --quiet --release -p qicore-benches --bin ratios
ratios=$programs/ratios
[ $# -gt 0 ] && exec "$ratios" "$@"
# Each group in a process of its own: what one leaves behind in the heap is no part of the next.
for group in decode session pipeline lanes sink; do
  "$ratios" "$group"
done
timescale
