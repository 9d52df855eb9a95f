"""Writes the stored trades and candles, and those that a local venue knows of the same stretch, a line each.

Arguments: the venue's URL, where the stretch begins, the folder of stored rows, the folder of those that say how far it reaches,
and the two files to write."""
import datetime
import decimal
import json
import pathlib
import sys
import urllib.request

venue, begin, rows, whole, found, expected = sys.argv[1:]


def plain(text):
    return f"{decimal.Decimal(text).normalize():f}"


def nanoseconds(text):
    seconds, _, fraction = text.rstrip("Z").partition(".")
    time = datetime.datetime.fromisoformat(seconds + "+00:00")
    return int(time.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def truth(path):
    with urllib.request.urlopen(f"{venue}/_truth/{path}") as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


def trade(row, time, side):
    return f"trade {row['symbol']} {row['id']} {time} {plain(row['price'])} {plain(row['size'])} {side}"


def candle(row, time):
    values = " ".join(plain(row[name]) for name in ("open", "high", "low", "close", "volume"))
    return f"candle {row['symbol']} {time} {values}"


def read(folder):
    """The lines, and the last trade and bar of each symbol."""
    lines, last_id, last_bar = [], {}, {}
    for path in pathlib.Path(folder).rglob("*.jsonl"):
        for line in path.open():
            row = json.loads(line)
            time = nanoseconds(row["timestamp"])
            if row["type"] == "trade":
                lines.append(trade(row, time, row["side"]))
                last_id[row["symbol"]] = max(int(row["id"]), last_id.get(row["symbol"], 0))
            elif row["type"] == "candle" and row["closed"]:
                lines.append(candle(row, time))
                last_bar[row["symbol"]] = max(time, last_bar.get(row["symbol"], 0))
            else:
                lines.append(f"strange {line.strip()}")
    return lines, last_id, last_bar


stored, _, _ = read(rows)
_, last_id, last_bar = read(whole)
start = nanoseconds(begin)
true = []
for symbol, last in last_id.items():
    for row in truth(f"trades?symbol={symbol}&from_id=1&to_id={last}"):
        if row["time"] >= start:
            true.append(trade(row, row["time"], row["side"]))
for symbol, last in last_bar.items():
    for row in truth(f"candles?symbol={symbol}&timeframe=1m&from={start}&to={last + 1}"):
        true.append(candle(row, row["open_time"]))
if not last_id or not last_bar:
    sys.exit("nothing is stored")
pathlib.Path(found).write_text("".join(f"{line}\n" for line in stored))
pathlib.Path(expected).write_text("".join(f"{line}\n" for line in true))
