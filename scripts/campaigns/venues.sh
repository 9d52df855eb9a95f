# Live sources of three venues, each with random trouble of its own, into two sinks that are seldom equally far, and half-way
# into a third: the workers are killed again and again, and what each has stored is compared with what the venues know to be
# true. Sourced by crash-campaign.sh.
# shellcheck shell=bash
campaign_features=parquet
declare -A venue_pids=() venue_urls=()

campaign_begin() {
  local programs
  programs=$(dirname "$qicore")
  localvenue=${QICORE_LOCALVENUE:-$programs/qicore-localvenue}
  [ -x "$localvenue" ] || cargo build --quiet -p qicore-localvenue
}

campaign_clean_up() {
  local pid
  for pid in "${venue_pids[@]}" "${workers[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
}

start_venue() { # VENUE SYMBOLS ROUND
  local out=$work/$1.venue drop=0.005
  # A lost change of a candle cannot be seen on Kraken, whose messages have no numbers.
  [ "$1" = kraken ] && drop=0
  "$localvenue" --venue "$1" --symbols "$2" --trade-interval 20ms --seed "$3" --start "$began" --chaos "$3" \
    --chaos-drop "$drop" --no-rest-budget >"$out" 2>"$out.err" &
  venue_pids[$1]=$!
  until grep -q '^http=' "$out" 2>/dev/null; do sleep 0.05; done
  venue_urls[$1]=$(cut -d' ' -f1 "$out" | cut -d= -f2)
}

pipeline_of() { # VENUE SYMBOLS
  local http=${venue_urls[$1]}
  cat <<TOML
name = "$1"
[options]
checkpoint_every = "100ms"
[source]
type = "$1"
symbols = [$(printf '"%s"' "${2//,/\", \"}")]
channels = ["trades", "candles:1m"]
from = "$from"
rest_url = "$http"
ws_url = "${http/http/ws}"
exchange_url = "$http"
limits = []
candle_grace = "1s"
verify_after = "300ms"
reconnect = { first_pause = "20ms", longest_pause = "200ms" }
net.retry = { first_pause = "20ms", longest_pause = "200ms", timeout = "2s" }
TOML
  sink_of "$1" parquet parquet 300ms
  sink_of "$1" slow jsonl 1500ms
}

sink_of() { # VENUE NAME TYPE ROTATE_AFTER
  cat <<TOML
[[sink]]
name = "$2"
type = "$3"
path = "$work/$1/$2"
rotate_after = "$4"
TOML
}

declare -A workers=()
start_workers() {
  local venue
  for venue in "${!venue_urls[@]}"; do
    "$qicore" run --quiet "$work/$venue.toml" 2>"$work/$venue.log" &
    workers[$venue]=$!
  done
}

campaign_round() { # ROUND
  local venue kill status
  declare -A symbols=([binance]=BTC/USDT,ETH/USDT [coinbase]=BTC/USD,ETH/USD [kraken]=BTC/USD,ETH/USD)
  began=$(date -u -d '-10 minutes' +%Y-%m-%dT%H:%M:00Z)
  from=$(date -u -d '-2 minutes' +%Y-%m-%dT%H:%M:00Z)
  for venue in "${!symbols[@]}"; do
    rm -rf "${work:?}/$venue"
    start_venue "$venue" "${symbols[$venue]}" "$1"
    pipeline_of "$venue" "${symbols[$venue]}" >"$work/$venue.toml"
  done
  for kill in $(seq 12); do
    if [ "$kill" = 6 ]; then
      for venue in "${!workers[@]}"; do sink_of "$venue" late jsonl 500ms >>"$work/$venue.toml"; done
    fi
    start_workers
    sleep "$((RANDOM % 3)).$(printf '%03d' $((RANDOM % 900 + 100)))"
    for venue in "${!workers[@]}"; do
      kill -9 "${workers[$venue]}" 2>/dev/null || true
      status=0
      wait "${workers[$venue]}" 2>/dev/null || status=$?
      # 137 is our kill; anything else is a worker that failed by itself.
      [ "$status" = 137 ] || { echo "round $1: $venue ended with status $status" >&2; cat "$work/$venue.log" >&2; exit 1; }
      kills=$((kills + 1))
    done
  done
  start_workers
  sleep 8
  for venue in "${!workers[@]}"; do
    kill -INT "${workers[$venue]}"
    wait "${workers[$venue]}" || { echo "round $1: $venue did not stop well" >&2; cat "$work/$venue.log" >&2; exit 1; }
    compare_venue "$1" "$venue"
  done
  workers=()
  for venue in "${!venue_pids[@]}"; do
    kill -INT "${venue_pids[$venue]}"
    wait "${venue_pids[$venue]}" || true
    [ ! -s "$work/$venue.venue.err" ] || { echo "round $1: $venue complains of its client:" >&2; cat "$work/$venue.venue.err" >&2; exit 1; }
  done
  venue_pids=()
}

# What each sink has stored, against what the venue tells of the stretch that the first has: after a good end all have the same.
compare_venue() { # ROUND VENUE
  cat >"$work/read.toml" <<TOML
name = "read"
[source]
type = "replay"
paths = ["$work/$2/parquet"]
[[sink]]
type = "jsonl"
path = "$work/$2/rows"
TOML
  "$qicore" run --quiet "$work/read.toml"
  local rows
  for rows in rows slow late; do
    python3 scripts/campaigns/venues_truth.py "${venue_urls[$2]}" "$from" "$work/$2/$rows" "$work/$2/rows" "$work/found" "$work/expected"
    LC_ALL=C sort -o "$work/found" "$work/found"
    LC_ALL=C sort -o "$work/expected" "$work/expected"
    compare "$1" "$2"
  done
}
