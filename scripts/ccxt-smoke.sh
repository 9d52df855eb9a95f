#!/usr/bin/env bash
# The breadth adapter against a local Kraken: builds both (minutes), asks through CCXT for candles, trades and tickers, and
# compares them with the venue's truth. Numbers must be the same floats. Needs curl. CI does not run it.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
programs=$CARGO_TARGET_DIR/debug
work=$(mktemp -d)
venue='' live=''
trap 'kill $venue $live 2>/dev/null || true; rm -rf "$work"' EXIT

time cargo build --locked --manifest-path qicore-ccxt/Cargo.toml --features ccxt-kraken --example candles
cargo build --quiet -p qicore-localvenue
"$programs/qicore-localvenue" --venue kraken --symbols BTC/USD,ETH/USD --seed 7 >"$work/addresses" 2>"$work/violations" &
venue=$!
until [ -s "$work/addresses" ]; do sleep 0.1; done
read -r http _ <"$work/addresses"
http=${http#http=}

ask() { "$programs/examples/candles" kraken "$1" "$2" --url "public=$http" "${@:3}" 2>"$work/progress" || { cat "$work/progress" >&2; return 1; }; }
truth() { curl -fsS "$http/_truth/$1"; }
# The named values of JSON lines, as columns.
columns() {
  awk -v names="$*" '
    function value(name) { return match($0, "\"" name "\":\"?[^\",}]*") ? substr($0, RSTART, RLENGTH) : "" }
    BEGIN { count = split(names, name, " ") }
    { for (at = 1; at <= count; at++) { text = value(name[at]); sub(/^"[^"]*":"?/, "", text); printf "%s ", text } print "" }'
}
# Whether two files have the same columns: as texts, or as floats.
same() { # WHAT FOUND EXPECTED
  paste -d '\n' "$2" "$3" | awk -v what="$1" '
    NR % 2 { split($0, found, " "); fields = NF; next }
    { for (at = 1; at <= NF || at <= fields; at++) if (found[at] != $at) { print what ": " found[at] " is not " $at " in " $0; wrong = 1; exit } }
    END { if (!wrong) print what ": " NR / 2 " the same"; exit wrong || NR == 0 }'
  [ "$(wc -l <"$2")" = "$(wc -l <"$3")" ] || { echo "$1: $(wc -l <"$2") rows, expected $(wc -l <"$3")"; return 1; }
}

end=$(($(date +%s) / 3600 * 3600))
stamp() { date -u -d "@$1" +%FT%TZ; }

from=$((end - 3600))
for symbol in BTC/USD ETH/USD; do
  ask $symbol candles:1m --from "$(stamp $from)" --to "$(stamp $end)" >"$work/events"
  columns timestamp open high low close volume <"$work/events" >"$work/found"
  truth "candles?symbol=$symbol&timeframe=1m&from=${from}000000000&to=${end}000000000" >"$work/truth"
  columns open_time <"$work/truth" | sed 's/^/@/; s/000000000 *$//' | date -u -f - +%FT%TZ >"$work/times"
  columns open high low close volume <"$work/truth" | paste -d ' ' "$work/times" - >"$work/expected"
  same "candles of $symbol" "$work/found" "$work/expected"
done

from=$((end - 200))
ask BTC/USD trades --from "$(stamp $from)" --to "$(stamp $end)" >"$work/events"
columns id side price size <"$work/events" >"$work/found"
first=$(head -1 "$work/found") last=$(tail -1 "$work/found")
# With a neighbour on each side, which must lie outside.
truth "trades?symbol=BTC/USD&from_id=$((${first%% *} - 1))&to_id=$((${last%% *} + 1))" >"$work/truth"
sed '1d; $d' "$work/truth" | columns id side price size >"$work/expected"
same "trades of BTC/USD" "$work/found" "$work/expected"
sed -n '1p; $p' "$work/truth" | columns time | awk -v from=$from -v to=$end '
  { at[NR] = $1 / 1e9 } END { if (at[1] >= from || at[2] < to) { print "trades are missing at the ends"; exit 1 } }'

# Live: what comes in a few seconds, and no end.
"$programs/examples/candles" kraken BTC/USD tickers,trades --every 1s --url "public=$http" >"$work/live" &
live=$!
sleep 8
kill $live
wait $live || true
live=
for kind in ticker trade; do
  echo "live: $(grep -c "\"type\":\"$kind\"" "$work/live") $kind events"
done
grep '"type":"trade"' "$work/live" | columns id | awk 'NR > 1 && $1 != before + 1 { print "live trades jump from " before " to " $1; exit 1 } { before = $1 }'

grep -q '"quality":"medium"' "$work/live" && grep -q '"reasons":\["float"\]' "$work/live"
if ask NO/SUCH trades --from "$(stamp $from)" --to "$(stamp $end)" 2>"$work/refused"; then exit 1; fi
grep -o 'Error: .*' "$work/refused"

kill -INT $venue
wait $venue || true
venue=
[ ! -s "$work/violations" ] || { cat "$work/violations"; exit 1; }
echo "no violation of the venue's rules"
