#!/usr/bin/env bash
# Side-by-side ratios, ours against a reference in the same run, a line each:
#   RATIO name value (ours X unit, reference Y unit)
# With names, only the ratios whose name starts with one of them.
# `timescale` needs a real PostgreSQL: that of QICORE_POSTGRES_URL, or one that is started for it. `clickhouse` likewise, by
# QICORE_CLICKHOUSE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${CARGO_TARGET_DIR:-target}/release

# A store's own bench, on the server that VARIABLE names or on one that is started for it.
store() { # NAME SERVICE VARIABLE [RATIO…]
  local name=$1 service=$2 variable=$3 services=
  shift 3
  cargo build --quiet --release -p qicore-benches --bin "$name"
  if [ -z "${!variable:-}" ]; then
    services=$(mktemp -d)
    eval "$(QICORE_SERVICES_DIR=$services ./scripts/services.sh start --with $$ "$service")"
  fi
  "$programs/$name" "$@"
  [ -z "$services" ] || { QICORE_SERVICES_DIR=$services ./scripts/services.sh stop "$service" >&2; rm -rf "$services"; }
}
timescale() { store timescale postgres QICORE_POSTGRES_URL "$@"; }
clickhouse() { store clickhouse clickhouse QICORE_CLICKHOUSE_URL "$@"; }

case ${1:-} in
  timescale*) timescale "$@"; exit ;;
  clickhouse*) clickhouse "$@"; exit ;;
esac
cargo build --quiet --release -p qicore-benches --bin ratios
ratios=$programs/ratios
[ $# -gt 0 ] && exec "$ratios" "$@"
# Each group in a process of its own: what one leaves behind in the heap is no part of the next.
for group in decode session pipeline lanes sink; do
  "$ratios" "$group"
done
timescale
clickhouse
