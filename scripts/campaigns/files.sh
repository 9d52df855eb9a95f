# The files campaign: what the file sinks and the dead letters hold after kills, against an undisturbed run. A letter may
# be written again after a kill, with the same id.

campaign_features=parquet

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

# One round: adds to the sums.
campaign_round() { # NUMBER
  local round=$1 whole=$work/whole broken=$work/broken format strange half
  rm -rf "$whole" "$broken"
  mkdir -p "$whole" "$broken"
  pipeline "$whole" "$round" >"$whole/pipeline.toml"
  pipeline "$broken" "$round" >"$broken/pipeline.toml"
  "$qicore" run --quiet "$whole/pipeline.toml"
  until_done "$round" "$broken/pipeline.toml" kill_worker

  for format in jsonl csv parquet; do
    # The same format of both runs: a Parquet column has one scale, so its values come back without trailing zeros.
    rows "$whole" "$format" >"$work/expected"
    rows "$broken" "$format" >"$work/found"
    compare "$round" "$format"
  done
  letters "$whole" >"$work/expected"
  letters "$broken" >"$work/found"
  refused=$((refused + $(wc -l <"$work/expected")))
  lost=$((lost + $(comm -23 "$work/expected" "$work/found" | wc -l)))
  strange=$(comm -13 "$work/expected" "$work/found" | wc -l)
  [ "$strange" = 0 ] || { echo "round $round: $strange letters are not in the undisturbed run" >&2; exit 1; }
  half=$(find "$broken" -name '*.part' | wc -l)
  [ "$half" = 0 ] || { echo "round $round: $half half-written files are left" >&2; exit 1; }
}

refused=0
campaign_end() {
  echo "letters of refused rows: $refused"
}
