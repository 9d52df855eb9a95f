#!/usr/bin/env bash
# Kills at random instants until the work is done all the same, for a number of rounds; then compares what was stored with
# an undisturbed run.
#
#   scripts/crash-campaign.sh files ROUNDS          the worker, writing files
#   scripts/crash-campaign.sh timescale ROUNDS      the worker or the server, writing to PostgreSQL
#   scripts/crash-campaign.sh timescale-wasm ROUNDS the same with TimescaleDB
#   scripts/crash-campaign.sh clickhouse ROUNDS     the worker or the server, writing to ClickHouse
#   scripts/crash-campaign.sh platform ROUNDS       workers and servers, through Kafka to PostgreSQL and ClickHouse
#   scripts/crash-campaign.sh platform-timescale ROUNDS  the same with TimescaleDB
#   scripts/crash-campaign.sh venues ROUNDS         live sources of three venues that are in trouble, writing files
#
# The program is built, unless QICORE_PROGRAM names one. A line a round on stderr; SIGTERM ends the campaign after the round. The last line: rounds=… kills=… expected=… rows=… lost=0 duplicated=0
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '5,11s/^# *//p' "$0" >&2; exit 2; }
[ $# = 2 ] && [ "$2" -gt 0 ] 2>/dev/null || usage
campaign=$1 rounds=$2
case $campaign in
  files | clickhouse | venues) script=$campaign ;;
  timescale | timescale-wasm) script=timescale ;;
  platform | platform-timescale) script=platform ;;
  *) usage ;;
esac

work=$(mktemp -d)
worker=
kills=0 expected=0 found=0 lost=0 duplicated=0
clean_up() {
  [ -z "$worker" ] || kill -9 "$worker" 2>/dev/null || true
  if declare -F campaign_clean_up >/dev/null; then campaign_clean_up; fi
  rm -rf "$work"
}
trap clean_up EXIT

kill_worker() { kill -9 "$worker" 2>/dev/null || true; }

# Starts the pipeline and calls DISTURB at a random instant, again and again until it ends by itself.
until_done() { # ROUND PIPELINE DISTURB
  local start status
  for start in $(seq 500); do
    "$qicore" run --quiet "$2" &
    worker=$!
    sleep "0.$(printf '%03d' $((RANDOM % 400 + 20)))"
    "$3"
    status=0
    wait "$worker" 2>/dev/null || status=$?
    # 137 is our kill; anything else is a worker that failed by itself.
    case $status in
      0) worker=; return ;;
      137) kills=$((kills + 1)) ;;
      *) echo "round $1: the worker ended with status $status" >&2; exit 1 ;;
    esac
  done
  echo "round $1: not done after $start starts" >&2
  exit 1
}

# Compares the sorted rows in $work/expected and $work/found, and adds to the sums.
compare() { # ROUND WHAT
  local strange
  uniq "$work/found" >"$work/distinct"
  uniq "$work/expected" >"$work/wanted"
  expected=$((expected + $(wc -l <"$work/expected")))
  found=$((found + $(wc -l <"$work/found")))
  lost=$((lost + $(comm -23 "$work/wanted" "$work/distinct" | wc -l)))
  strange=$(comm -13 "$work/wanted" "$work/distinct" | wc -l)
  [ "$strange" = 0 ] || { echo "round $1: $strange rows of $2 are not in the undisturbed run" >&2; exit 1; }
  duplicated=$((duplicated + $(wc -l <"$work/found") - $(wc -l <"$work/distinct")))
}

# What the last line says of the rows; a campaign of several stores has its own.
told() { echo "expected=$expected rows=$found"; }

# shellcheck source=/dev/null
. "scripts/campaigns/$script.sh"
qicore=${QICORE_PROGRAM:-}
if [ -z "$qicore" ]; then
  cargo build --quiet -p qicore-cli --features "$campaign_features"
  qicore=${CARGO_TARGET_DIR:-target}/debug/qicore
fi
if declare -F campaign_begin >/dev/null; then campaign_begin; fi
# A wish to stop ends the campaign after the round.
stop=
trap 'stop=1' TERM
for round in $(seq "$rounds"); do
  campaign_round "$round"
  echo "round $round of $rounds: kills=$kills $(told) lost=$lost duplicated=$duplicated (${SECONDS}s)" >&2
  [ -z "$stop" ] || { rounds=$round; break; }
done
if declare -F campaign_end >/dev/null; then campaign_end; fi
echo "rounds=$rounds kills=$kills $(told) lost=$lost duplicated=$duplicated"
[ "$lost" = 0 ] && [ "$duplicated" = 0 ] && [ "$expected" = "$found" ]
