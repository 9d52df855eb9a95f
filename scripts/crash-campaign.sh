#!/usr/bin/env bash
# Kills a worker at random instants and starts it again until it is done, for a number of rounds; then compares what the
# files and the dead letters hold with an undisturbed run. A letter may be written again after a kill, with the same id.
#
#   scripts/crash-campaign.sh files ROUNDS
#
# The last line: rounds=… kills=… expected=… rows=… lost=0 duplicated=0
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1:-}" = files ] && [ "${2:-0}" -gt 0 ] || { echo "usage: $0 files ROUNDS" >&2; exit 2; }
rounds=$2

cargo build --quiet -p qicore-cli --features parquet
qicore=${CARGO_TARGET_DIR:-target}/debug/qicore
work=$(mktemp -d)
worker=
trap '[ -z "$worker" ] || kill -9 "$worker" 2>/dev/null || true; rm -rf "$work"' EXIT

# A market on two lanes, with candles and duplicates to drop, into three sinks that get out of step when killed. The
# last one refuses the candles whose amounts have more fractional digits than its columns.
pipeline() { # FOLDER SEED
  cat <<TOML
name = "campaign"
dead_letters = "$1/dead-letters.jsonl"

[options]
checkpoint_every = "20ms"

[source]
type = "generator"
seed = $2
lanes = 2
symbols = 20
events = 60000
duplicates = 0.01

[[transform]]
type = "validate"

[[transform]]
type = "dedupe"

[[transform]]
type = "candles"
timeframes = ["1s", "1m"]

[[sink]]
type = "jsonl"
path = "$1/jsonl"
rotate_after = "50ms"

[[sink]]
type = "csv"
path = "$1/csv"
rotate_after = "120ms"

[[sink]]
type = "parquet"
path = "$1/parquet"
scale = 6
rotate_after = "200ms"
TOML
}

# Every row of a stored data set as a normalised JSON line, sorted. JSONL files are read as they are.
rows() { # FOLDER FORMAT
  if [ "$2" = jsonl ]; then
    find "$1/jsonl" -path '*type=*' -name '*.jsonl' -exec cat {} + | sort
    return
  fi
  cat >"$work/read.toml" <<TOML
name = "read"
[source]
type = "replay"
paths = ["$1/$2"]
[[sink]]
type = "stdout"
TOML
  "$qicore" run --quiet "$work/read.toml" | sort
}

# The ids of the whole letters.
letters() { # FOLDER
  "$qicore" dead-letter show --full "$1/dead-letters.jsonl" 2>/dev/null | grep -o '^{"id":"[^"]*"' | sort -u
}

refused=0 kills=0 expected=0 found=0 lost=0 duplicated=0
for round in $(seq "$rounds"); do
  whole=$work/whole broken=$work/broken
  rm -rf "$whole" "$broken"
  mkdir -p "$whole" "$broken"
  pipeline "$whole" "$round" >"$whole/pipeline.toml"
  pipeline "$broken" "$round" >"$broken/pipeline.toml"
  "$qicore" run --quiet "$whole/pipeline.toml"

  for start in $(seq 500); do
    "$qicore" run --quiet "$broken/pipeline.toml" &
    worker=$!
    sleep "0.$(printf '%03d' $((RANDOM % 400 + 20)))"
    kill -9 "$worker" 2>/dev/null || true
    status=0
    wait "$worker" 2>/dev/null || status=$?
    # 137 is our kill; anything else is a worker that failed by itself.
    case $status in
      0) break ;;
      137) kills=$((kills + 1)) ;;
      *) echo "round $round: the worker ended with status $status" >&2; exit 1 ;;
    esac
    [ "$start" -lt 500 ] || { echo "round $round: not done after $start starts" >&2; exit 1; }
  done
  worker=

  for format in jsonl csv parquet; do
    # The same format of both runs: a Parquet column has one scale, so its values come back without trailing zeros.
    rows "$whole" "$format" >"$work/expected"
    rows "$broken" "$format" >"$work/found"
    uniq "$work/found" >"$work/distinct"
    uniq "$work/expected" >"$work/wanted"
    expected=$((expected + $(wc -l <"$work/expected")))
    found=$((found + $(wc -l <"$work/found")))
    lost=$((lost + $(comm -23 "$work/wanted" "$work/distinct" | wc -l)))
    strange=$(comm -13 "$work/wanted" "$work/distinct" | wc -l)
    [ "$strange" = 0 ] || { echo "round $round: $strange rows of $format are not in the undisturbed run" >&2; exit 1; }
    duplicated=$((duplicated + $(wc -l <"$work/found") - $(wc -l <"$work/distinct")))
  done
  letters "$whole" >"$work/expected"
  letters "$broken" >"$work/found"
  refused=$((refused + $(wc -l <"$work/expected")))
  lost=$((lost + $(comm -23 "$work/expected" "$work/found" | wc -l)))
  strange=$(comm -13 "$work/expected" "$work/found" | wc -l)
  [ "$strange" = 0 ] || { echo "round $round: $strange letters are not in the undisturbed run" >&2; exit 1; }
  half=$(find "$broken" -name '*.part' | wc -l)
  [ "$half" = 0 ] || { echo "round $round: $half half-written files are left" >&2; exit 1; }
done

echo "letters of refused rows: $refused"
echo "rounds=$rounds kills=$kills expected=$expected rows=$found lost=$lost duplicated=$duplicated"
[ "$lost" = 0 ] && [ "$duplicated" = 0 ] && [ "$expected" = "$found" ]
