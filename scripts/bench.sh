#!/usr/bin/env bash
# Side-by-side ratios, ours against a reference in the same run, a line each:
#   RATIO name value (ours X unit, reference Y unit)
# With names, only the ratios whose name starts with one of them.
# `timescale`, `clickhouse` and `kafka` need real servers: those that QICORE_POSTGRES_URL, QICORE_CLICKHOUSE_URL and
# QICORE_KAFKA_BROKERS name, or ones that are started for them. `kafka` needs all three.
# `venues` starts local venues, each a process of its own, and prints beside the ratios:
#   CORE name X unit of a core …       for all the processor time that our process takes
#   LATENCY name p50 … ms p99 … ms …   and the rate that was achieved
#   SOAK name frames=… lost=… …
set -euo pipefail
cd "$(dirname "$0")/.."
programs=${CARGO_TARGET_DIR:-target}/release

# A store's own bench, on the servers that VARIABLEs name or on some that are started for it.
store() { # NAME SERVICE=VARIABLE[,…] [RATIO…]
  local name=$1 pair missing=() services='' needed
  IFS=, read -ra needed <<<"$2"
  shift 2
  cargo build --quiet --release -p qicore-benches --bin "$name"
  for pair in "${needed[@]}"; do
    local variable=${pair#*=}
    [ -n "${!variable:-}" ] || missing+=("${pair%=*}")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    services=$(mktemp -d)
    eval "$(QICORE_SERVICES_DIR=$services ./scripts/services.sh start --with $$ "${missing[@]}")"
  fi
  "$programs/$name" "$@"
  [ -z "$services" ] || { QICORE_SERVICES_DIR=$services ./scripts/services.sh stop "${missing[@]}" >&2; rm -rf "$services"; }
}
timescale() { store timescale postgres=QICORE_POSTGRES_URL "$@"; }
clickhouse() { store clickhouse clickhouse=QICORE_CLICKHOUSE_URL "$@"; }
kafka() {
  store kafka kafka=QICORE_KAFKA_BROKERS,postgres=QICORE_POSTGRES_URL,clickhouse=QICORE_CLICKHOUSE_URL "$@"
}
venues() {
  # One after the other: together they would be built with each other's features, and all else again.
  cargo build --quiet --release -p qicore-localvenue
  cargo build --quiet --release -p qicore-benches --bin venues
  "$programs/venues" "$@"
}

case ${1:-} in
  timescale*) timescale "$@"; exit ;;
  clickhouse*) clickhouse "$@"; exit ;;
  kafka*) kafka "$@"; exit ;;
  venues*) [ "$1" != venues ] || shift; venues "$@"; exit ;;
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
kafka
venues
