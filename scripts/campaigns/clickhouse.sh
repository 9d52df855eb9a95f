# shellcheck shell=bash disable=SC2034,SC2154 # variables of crash-campaign.sh
# The ClickHouse campaign: the worker or the server is killed while it loads. Rows without a key (quotes) tell whether one
# was written twice, keyed rows (trades, candles) and dead letters whether one was lost. Rows are read as the project's
# readers do, with FINAL; how many lie there twice until parts are merged is told at the end.

campaign_features=clickhouse
service=clickhouse
events=120000
export QICORE_SERVICES_DIR=$work/services

campaign_begin() {
  eval "$(./scripts/services.sh start --with $$ "$service")"
  export CAMPAIGN_URL=$QICORE_CLICKHOUSE_URL
}

campaign_clean_up() {
  ./scripts/services.sh kill "$service" >/dev/null 2>&1 || true
  ./scripts/services.sh clean "$service" >/dev/null 2>&1 || true
}

# A market on three lanes, with candles and duplicates to drop. Small batches, so that there are many to kill. Some trades
# do not pass a check of the table, and go to the dead letters.
pipeline() { # FOLDER DATABASE SEED
  cat <<TOML
name = "campaign"
dead_letters = "$1/$2.jsonl"

[source]
type = "generator"
seed = $3
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
type = "clickhouse"
connection.url = { env = "CAMPAIGN_URL" }
connection.connect_timeout = "2s"
tables.database = "$2"
batch = { events = 1500, linger = "10ms" }
retry = { retries = 1000000, first_pause = "10ms", longest_pause = "200ms" }
TOML
}

sql() { curl -fsS "$CAMPAIGN_URL/" --data-binary "$1"; }

# The database with a check that refuses some rows, so that batches are searched, too.
make_database() { # DATABASE
  sql "DROP DATABASE IF EXISTS $1 SYNC"
  "$qicore" check --connect "$work/$1.toml" 2>/dev/null
  sql "ALTER TABLE $1.trades ADD CONSTRAINT not_these_ids CHECK id NOT LIKE '%777'"
}

# Every row of a table as a line, without what tells in which order it came.
rows() { # DATABASE TABLE
  sql "SELECT * FROM $1.$2 FINAL FORMAT JSONEachRow" | sed 's/,"seq":"\?[0-9]*"\?//' | sort
}

letters() { # DATABASE
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

refused=0 twice=0
campaign_round() { # NUMBER
  local round=$1 table lying
  pipeline "$work" whole "$round" >"$work/whole.toml"
  pipeline "$work" broken "$round" >"$work/broken.toml"
  rm -f "$work/whole.jsonl" "$work/broken.jsonl"
  make_database whole
  make_database broken
  "$qicore" run --quiet "$work/whole.toml"
  until_done "$round" "$work/broken.toml" disturb
  for table in trades quotes ohlcv alerts; do
    rows whole "$table" >"$work/expected"
    rows broken "$table" >"$work/found"
    compare "$round" "$table"
    lying=$(sql "SELECT count() FROM broken.$table")
    twice=$((twice + lying - $(wc -l <"$work/found")))
  done
  letters whole >"$work/expected" || true
  letters broken >"$work/found" || true
  refused=$((refused + $(wc -l <"$work/expected")))
  lost=$((lost + $(comm -23 "$work/expected" "$work/found" | wc -l)))
}

campaign_end() {
  echo "letters of refused rows: $refused; rows that lay twice until a merge: $twice"
}
