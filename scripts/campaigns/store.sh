# shellcheck shell=bash disable=SC2034,SC2154 # variables of crash-campaign.sh
# What the campaigns of the databases have in common: the worker or the server is killed while it loads. Rows without a
# key (quotes) tell whether one was written twice, keyed rows (trades, candles) and dead letters whether one was lost.
# The store's own script gives `service`, its URL's `variable`, `events`, and the functions `sink`, `prepare` and `rows`;
# then, where it has more to tell, `also` for each table and a `campaign_end` of its own.

export QICORE_SERVICES_DIR=$work/services

campaign_begin() {
  eval "$(./scripts/services.sh start --with $$ "$service")"
  export CAMPAIGN_URL=${!variable}
}

campaign_clean_up() {
  ./scripts/services.sh kill "$service" >/dev/null 2>&1 || true
  ./scripts/services.sh clean "$service" >/dev/null 2>&1 || true
}

# A market on three lanes, with candles and duplicates to drop. Some trades do not pass a check of the table, and go to
# the dead letters.
pipeline() { # PLACE SEED
  cat <<TOML
name = "campaign"
dead_letters = "$work/$1.jsonl"

[source]
type = "generator"
seed = $2
lanes = 3
symbols = 20
events = $events
duplicates = 0.01
quotes = 0.2

[[transform]]
type = "validate"

[[transform]]
type = "dedupe"

[[transform]]
type = "candles"
timeframes = ["1s", "1m"]

[[sink]]
connection.url = { env = "CAMPAIGN_URL" }
connection.connect_timeout = "2s"
retry = { retries = 1000000, first_pause = "10ms", longest_pause = "200ms" }
$(sink "$1")
TOML
}

letters() { # PLACE
  "$qicore" dead-letter show --full "$work/$1.jsonl" 2>/dev/null | grep -o '^{"id":"[^"]*"' | sort -u
}

disturb() {
  if [ $((RANDOM % 3)) = 0 ]; then
    ./scripts/services.sh kill "$service" >/dev/null 2>&1
    kills=$((kills + 1))
    sleep "0.$((RANDOM % 4))"
    ./scripts/services.sh start --with $$ "$service" >/dev/null 2>&1
    # The worker goes on by itself; sometimes it is killed on top.
    [ $((RANDOM % 2)) = 0 ] || kill_worker
  else
    kill_worker
  fi
}

refused=0
campaign_round() { # NUMBER
  local round=$1 place table
  for place in whole broken; do
    pipeline $place "$round" >"$work/$place.toml"
    rm -f "$work/$place.jsonl"
    prepare $place
  done
  "$qicore" run --quiet "$work/whole.toml"
  until_done "$round" "$work/broken.toml" disturb
  for table in trades quotes ohlcv alerts; do
    rows whole $table >"$work/expected"
    rows broken $table >"$work/found"
    compare "$round" $table
    if declare -F also >/dev/null; then also $table; fi
  done
  letters whole >"$work/expected" || true
  letters broken >"$work/found" || true
  refused=$((refused + $(wc -l <"$work/expected")))
  lost=$((lost + $(comm -23 "$work/expected" "$work/found" | wc -l)))
}

campaign_end() {
  echo "letters of refused rows: $refused"
}
