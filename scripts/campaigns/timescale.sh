# The Timescale campaign: the worker or the server is killed while it loads. Rows without a key (quotes) tell whether one
# was written twice, keyed rows (trades, candles) and dead letters whether one was lost.

campaign_features=timescale
service=postgres
variable=QICORE_POSTGRES_URL
events=90000
[ "$campaign" = timescale ] || { service=timescale variable=QICORE_TIMESCALE_URL events=8000; }
export QICORE_SERVICES_DIR=$work/services

campaign_begin() {
  eval "$(./scripts/services.sh start --with $$ "$service")"
  export CAMPAIGN_URL=${!variable}
}

campaign_clean_up() {
  ./scripts/services.sh kill "$service" >/dev/null 2>&1 || true
  ./scripts/services.sh clean "$service" >/dev/null 2>&1 || true
}

# A market on three lanes, with candles and duplicates to drop. Small batches, so that there are many commits to kill.
# Some trades do not pass a check of the table, and go to the dead letters.
pipeline() { # FOLDER SCHEMA SEED
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
type = "timescale"
connection.url = { env = "CAMPAIGN_URL" }
connection.connect_timeout = "2s"
tables.schema = "$2"
batch = { events = 700, linger = "10ms" }
retry = { retries = 1000000, first_pause = "10ms", longest_pause = "200ms" }
TOML
}

sql() { psql -qXAt -v ON_ERROR_STOP=1 "$CAMPAIGN_URL" -c "$1"; }

# The schema with a check that refuses some rows, so that transactions are rolled back and searched, too.
make_schema() { # SCHEMA
  sql "DROP SCHEMA IF EXISTS $1 CASCADE" 2>/dev/null
  "$qicore" check --connect "$work/$1.toml" 2>/dev/null
  sql "ALTER TABLE $1.trades ADD CONSTRAINT not_these_ids CHECK (id NOT LIKE '%777')"
}

# Every row of a table as a line, without what tells when it was written.
rows() { # SCHEMA TABLE
  sql "SELECT to_jsonb(t) - 'seq' - 'created_at' - 'updated_at' FROM $1.$2 t" | sort
}

letters() { # SCHEMA
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
  local round=$1 table
  pipeline "$work" whole "$round" >"$work/whole.toml"
  pipeline "$work" broken "$round" >"$work/broken.toml"
  rm -f "$work/whole.jsonl" "$work/broken.jsonl"
  make_schema whole
  make_schema broken
  "$qicore" run --quiet "$work/whole.toml"
  until_done "$round" "$work/broken.toml" disturb
  for table in trades quotes ohlcv alerts; do
    rows whole "$table" >"$work/expected"
    rows broken "$table" >"$work/found"
    compare "$round" "$table"
  done
  letters whole >"$work/expected" || true
  letters broken >"$work/found" || true
  refused=$((refused + $(wc -l <"$work/expected")))
  lost=$((lost + $(comm -23 "$work/expected" "$work/found" | wc -l)))
}

campaign_end() {
  echo "letters of refused rows: $refused"
}
