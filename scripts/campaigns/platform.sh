# shellcheck shell=bash disable=SC2034,SC2154 # variables of crash-campaign.sh
# The whole platform: a generator with a known truth → Kafka → validation → Kafka → both stores, with two workers in each
# group, while random ones of all these processes and servers are killed, or hang. Rows without a key (quotes) tell whether one
# was written twice, keyed rows whether one was lost; the rows in both topics are counted, too, and so are the letters of rows
# whose instrument is not known. A worker that ends by itself ends the campaign. `platform-timescale` is the same with TimescaleDB.

campaign_features=kafka,timescale,clickhouse
relational=postgres
events=60000 disturbed=20
[ "$campaign" = platform ] || { relational=timescale events=6000 disturbed=15; }
export QICORE_SERVICES_DIR=$work/services
services=(kafka "$relational" clickhouse)
tables=(trades quotes ohlcv)
# Of the symbols of the market only so many are known.
symbols=20 known_symbols=15
# Most seconds from the last kill to the last row.
patience=300
timescale_rows=0 clickhouse_rows=0 letters=0

campaign_begin() {
  command -v kcat >/dev/null || { echo "kcat is missing (Debian: kcat)" >&2; exit 1; }
  eval "$(./scripts/services.sh start --with $$ "${services[@]}")"
  local url=QICORE_${relational^^}_URL
  export QICORE_TIMESCALE_URL=${!url}
}

campaign_clean_up() {
  touch "$work/over"
  local file
  for file in "$work"/*.pid; do kill -9 "$(cat "$file" 2>/dev/null)" 2>/dev/null || true; done
  ./scripts/services.sh kill "${services[@]}" >/dev/null 2>&1 || true
  ./scripts/services.sh clean "${services[@]}" >/dev/null 2>&1 || true
}

market() { # SEED
  cat <<TOML
[source]
type = "generator"
seed = $1
lanes = 3
symbols = $symbols
events = $events
duplicates = 0.01
quotes = 0.2

[[transform]]
type = "candles"
timeframes = ["1s", "1m"]
TOML
}

instruments() { # SEED
  cat <<TOML
type = "generator"
seed = $1
symbols = $known_symbols
events = $known_symbols
instruments = true
TOML
}

checks() {
  cat <<TOML
[[transform]]
type = "validate"

[[transform]]
type = "dedupe"

[[transform]]
type = "enrich"
instruments = "instruments"
unknown_instrument = "reject"
TOML
}

brokers() {
  cat <<TOML
connection.brokers = { env = "QICORE_KAFKA_BROKERS" }
connection.timeout = "5s"
TOML
}

topic() { # TOPIC [GROUP]
  cat <<TOML
[source]
type = "kafka"
topics = ["$1"]
$([ $# = 2 ] && echo "group = \"$2\"" || echo "standalone = true")
$(brokers)
connection.properties = { "session.timeout.ms" = "3000", "heartbeat.interval.ms" = "300" }
TOML
}

patient='retry = { retries = 1000000, first_pause = "10ms", longest_pause = "200ms" }'

to_topic() { # TOPIC
  cat <<TOML
[[sink]]
type = "kafka"
only = ["trade", "quote", "candle", "instrument"]
topics = { trade = "$1", quote = "$1", candle = "$1", instrument = "$1" }
batch = { events = 2000, linger = "20ms" }
$patient
$(brokers)
TOML
}

to_timescale() { # SCHEMA
  cat <<TOML
[[sink]]
type = "timescale"
connection.url = { env = "QICORE_TIMESCALE_URL" }
connection.connect_timeout = "2s"
tables.schema = "$1"
batch = { events = 700, linger = "10ms" }
$patient
TOML
}

to_clickhouse() { # DATABASE
  cat <<TOML
[[sink]]
type = "clickhouse"
connection.url = { env = "QICORE_CLICKHOUSE_URL" }
connection.connect_timeout = "2s"
tables.database = "$1"
batch = { events = 1500, linger = "10ms" }
$patient
TOML
}

# A pipeline's file: its name, where its letters go, and its sections.
pipeline() { # FILE NAME LETTERS SECTION…
  local file=$1 name=$2 letters=$3
  shift 3
  { printf 'name = "%s"\n%s\n' "$name" "$letters"; printf '%s\n' "$@"; } >"$work/$file.toml"
}

pipelines() { # ROUND
  local none="dead_letters = \"$work/letters.jsonl\"" known="[[table]]
name = \"instruments\""
  pipeline whole whole "dead_letters = \"$work/whole.jsonl\"" "$(market "$1")" "$known" "$(instruments "$1")" "$(checks)" \
    "$(to_timescale whole)" "$(to_clickhouse whole)"
  pipeline raw raw "$none" "$(market "$1")" "$(printf '[[sink]]\ntype = "jsonl"\npath = "%s"' "$work/raw")"
  pipeline instruments "instruments-$1" "$none" "[source]" "$(instruments "$1")" "$(to_topic "instruments-$1")"
  pipeline ingest "ingest-$1" "$none" "$(market "$1")" "$(to_topic "raw-$1")"
  pipeline validate "validate-$1" "[dead_letters]
type = \"kafka\"
$(brokers)" "$(topic "raw-$1" "validate-$1")" "$known" "$(topic "instruments-$1" | sed 1d)" "$(checks)" "$(to_topic "clean-$1")"
  pipeline timescale "timescale-$1" "$none" "$(topic "clean-$1" "timescale-$1")" "$(to_timescale broken)"
  pipeline clickhouse "clickhouse-$1" "$none" "$(topic "clean-$1" "clickhouse-$1")" "$(to_clickhouse broken)"
}

# The committed messages of a topic, a line each.
messages() { kcat -b "$QICORE_KAFKA_BROKERS" -C -e -q -X isolation.level=read_committed -t "$1"; } # TOPIC

ids() { grep -o '^{"id":"[^"]*"' | sort -u | wc -l; }

# Compares numbers of rows, and adds to the sums of what is lost or doubled.
same_number() { # ROUND WHAT EXPECTED FOUND
  [ "$3" = "$4" ] && return
  echo "round $1: $4 instead of $3 $2" >&2
  lost=$((lost + ($4 < $3 ? $3 - $4 : 0)))
  duplicated=$((duplicated + ($4 > $3 ? $4 - $3 : 0)))
}

psql_() { psql -qXAt -v ON_ERROR_STOP=1 "$QICORE_TIMESCALE_URL" -c "$1" 2>/dev/null; }
curl_() { curl -fsS "$QICORE_CLICKHOUSE_URL/" --data-binary "$1" 2>/dev/null; }

# Every row of a table as a line, without what tells when or in which order it came.
rows() { # STORE PLACE TABLE
  case $1 in
    timescale) psql_ "SELECT to_jsonb(t) - 'seq' - 'created_at' - 'updated_at' FROM $2.$3 t" | sort ;;
    clickhouse) curl_ "SELECT * EXCEPT (seq, lane) FROM $2.$3 FINAL FORMAT JSONEachRow" | sort ;;
  esac
}

count() { # STORE PLACE
  local table sum=0 some
  for table in "${tables[@]}"; do
    case $1 in
      timescale) some=$(psql_ "SELECT count(*) FROM $2.$table") ;;
      clickhouse) some=$(curl_ "SELECT count() FROM $2.$table FINAL") ;;
    esac
    sum=$((sum + ${some:-0}))
  done
  echo "$sum"
}

# Runs a pipeline again and again until it ends by itself. 137 is a kill of ours; a worker that fails by itself is told.
worker() { # NAME PIPELINE
  local status
  while [ ! -e "$work/over" ]; do
    status=0
    "$qicore" run --quiet "$work/$2.toml" 2>>"$work/$1.log" &
    echo $! >"$work/$1.pid"
    wait $! 2>/dev/null || status=$?
    case $status in
      0) break ;;
      137) ;;
      *) echo "$1: status $status: $(tail -n 1 "$work/$1.log")" >>"$work/failed" ;;
    esac
  done
  rm -f "$work/$1.pid"
}

# Lets a process hang for longer than its group waits for it.
hang() { # PID
  kill -STOP "$1" 2>/dev/null || return 0
  sleep "$((RANDOM % 4 + 2))"
  kill -CONT "$1" 2>/dev/null || true
}

# Kills one of the workers or of the servers, which comes back; some workers only hang.
disturb() {
  local service file files
  if [ $((RANDOM % 5)) = 0 ]; then
    service=${services[RANDOM % ${#services[@]}]}
    ./scripts/services.sh kill "$service" >/dev/null 2>&1
    sleep "0.$((RANDOM % 9))"
    ./scripts/services.sh start --with $$ "$service" >/dev/null 2>&1
  else
    files=("$work"/*.pid)
    file=${files[RANDOM % ${#files[@]}]}
    if [ $((RANDOM % 6)) = 0 ]; then
      hang "$(cat "$file" 2>/dev/null)" &
      return 0
    fi
    kill -9 "$(cat "$file" 2>/dev/null)" 2>/dev/null || return 0
  fi
  kills=$((kills + 1))
}

prepare() {
  local place
  for place in whole broken; do
    psql_ "DROP SCHEMA IF EXISTS $place CASCADE"
    curl_ "DROP DATABASE IF EXISTS $place SYNC"
  done
  "$qicore" topics apply "$work/instruments.toml" "$work/ingest.toml" "$work/validate.toml" >/dev/null
  "$qicore" run --quiet "$work/instruments.toml"
  # The tables are there before anybody counts.
  for place in whole timescale clickhouse; do "$qicore" check --connect "$work/$place.toml" >/dev/null 2>&1; done
}

finished() { # ROUNDS' TRUTH
  [ "$(count timescale broken)" -ge "$1" ] && [ "$(count clickhouse broken)" -ge "$1" ]
}

campaign_round() { # NUMBER
  local round=$1 until truth
  rm -rf "$work/raw"
  rm -f "$work/over" "$work/failed" "$work/whole.jsonl" "$work"/*.pid
  pipelines "$round"
  prepare
  "$qicore" run --quiet "$work/whole.toml"
  "$qicore" run --quiet "$work/raw.toml"
  truth=$(count timescale whole)
  worker ingest ingest &
  for number in 1 2; do
    worker "validate-$number" validate &
    worker "timescale-$number" timescale &
    worker "clickhouse-$number" clickhouse &
  done
  until=$((SECONDS + disturbed))
  while [ "$SECONDS" -lt "$until" ] && ! finished "$truth"; do
    sleep "0.$(printf '%03d' $((RANDOM % 900 + 50)))"
    disturb
  done
  until=$((SECONDS + patience))
  until finished "$truth"; do
    [ "$SECONDS" -lt "$until" ] || { echo "round $round: not all rows after $patience s" >&2; break; }
    sleep 0.5
  done
  # What comes twice may come late.
  sleep 2
  end_workers "$round"
  check "$round" "$truth"
}

# Asks all workers to stop, each once, since a second time would abort it, and waits until they have.
end_workers() { # ROUND
  local file pid asked=' ' until=$((SECONDS + 60))
  touch "$work/over"
  while compgen -G "$work/*.pid" >/dev/null; do
    [ "$SECONDS" -lt "$until" ] || { echo "round $1: workers do not stop: $(cd "$work" && echo *.pid)" >&2; exit 1; }
    for file in "$work"/*.pid; do
      pid=$(cat "$file" 2>/dev/null) || continue
      [[ $asked != *" $pid "* ]] || continue
      kill -INT "$pid" 2>/dev/null || true
      asked+="$pid "
    done
    sleep 0.2
  done
  wait
  [ ! -e "$work/failed" ] || { echo "round $1: workers failed by themselves:" >&2; cat "$work/failed" >&2; exit 1; }
}

check() { # ROUND TRUTH
  local store table found_before refused
  for store in timescale clickhouse; do
    found_before=$found
    for table in "${tables[@]}"; do
      rows "$store" whole "$table" >"$work/expected"
      rows "$store" broken "$table" >"$work/found"
      compare "$1" "$table of $store"
    done
    printf -v "${store}_rows" %s $((${store}_rows + found - found_before))
  done
  same_number "$1" "messages in raw-$1" "$(find "$work/raw" -name '*.jsonl' -exec cat {} + | wc -l)" "$(messages "raw-$1" | wc -l)"
  same_number "$1" "messages in clean-$1" "$2" "$(messages "clean-$1" | wc -l)"
  refused=$(ids <"$work/whole.jsonl")
  [ "$refused" -gt 0 ] || { echo "round $1: no row is refused: nothing is tested by that" >&2; exit 1; }
  same_number "$1" "letters" "$refused" "$(messages "raw-$1-dead-letter" | ids)"
  letters=$((letters + refused))
}

campaign_end() { echo "letters of refused rows: $letters"; }

told() { echo "expected=$((expected / 2)) timescale=$timescale_rows clickhouse=$clickhouse_rows"; }
