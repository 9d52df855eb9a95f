//! What the fields of messages are, in words and with their units.

use qicore_data::EventType;

/// What a kind of event is.
pub(super) fn of_type(event_type: EventType) -> &'static str {
    found(TYPES, event_type.as_str()).unwrap_or_default()
}

/// What a column is: `type.column`, or what the column is in all types.
pub(super) fn of_column(event_type: EventType, column: &str) -> &'static str {
    let own = found(COLUMNS, &format!("{event_type}.{column}"));
    own.or_else(|| found(COLUMNS, column)).unwrap_or_default()
}

fn found(all: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    all.iter().find(|(of, _)| *of == name).map(|(_, text)| *text)
}

const TYPES: &[(&str, &str)] = &[
    ("trade", "A trade print."),
    ("quote", "Best bid and ask."),
    (
        "ticker",
        "Rolling statistics, over 24 h where the venue sends that window.",
    ),
    ("book", "An order book snapshot or change."),
    (
        "candle",
        "An OHLCV bar. Its key is exchange, symbol, timeframe and timestamp.",
    ),
    ("price", "An aggregator's price."),
    ("instrument", "An instrument's description."),
    (
        "series",
        "One value of a named series: an indicator, a dominance, a price index.",
    ),
    ("gap", "A stretch for which data is known to be missing."),
    ("alert", "A rule that fired."),
];

const COLUMNS: &[(&str, &str)] = &[
    ("exchange", "The venue, in lower case."),
    ("symbol", "The instrument, BASE/QUOTE."),
    (
        "timestamp",
        "The venue's event time, UTC, to the nanosecond; 1970-01-01 where neither the venue nor the capture told one.",
    ),
    ("candle.timestamp", "The bar's open time, UTC."),
    (
        "received",
        "When the payload was received, UTC, to the nanosecond; absent if that is not known.",
    ),
    ("source", "The plugin that made the event."),
    (
        "quality",
        "How far the event can be trusted; absent where that is high.",
    ),
    ("candle.quality", "How far the bar can be trusted."),
    ("id", "The venue's id, where it gives one."),
    ("side", "The taker's side; absent if it is not known."),
    ("price", "Price, in quote currency."),
    ("size", "Size, in base currency."),
    ("bid", "Best bid price, in quote currency."),
    ("bid_size", "Size at the best bid, in base currency."),
    ("ask", "Best ask price, in quote currency."),
    ("ask_size", "Size at the best ask, in base currency."),
    ("last", "Last trade price, in quote currency."),
    ("open", "First price, in quote currency."),
    ("ticker.open", "Price at the start of the window, in quote currency."),
    ("high", "Highest price, in quote currency."),
    ("low", "Lowest price, in quote currency."),
    ("close", "Last price, in quote currency."),
    ("volume", "Volume, in base currency."),
    ("quote_volume", "Volume, in quote currency."),
    (
        "book.kind",
        "The whole book to the depth subscribed, or changed levels with their new sizes.",
    ),
    ("sequence", "The venue's number of the last update contained."),
    (
        "bids",
        "Bids, in the venue's order: prices in quote, sizes in base currency.",
    ),
    (
        "asks",
        "Asks, in the venue's order: prices in quote, sizes in base currency.",
    ),
    (
        "checksum",
        "The result of comparing the maintained book with the venue's checksum, where it sends one. After a mismatch the \
         book is not to be used until the next snapshot.",
    ),
    ("timeframe", "Length; 1m is a minute and 1M a month."),
    ("trades", "Number of trades."),
    (
        "closed",
        "Whether the interval is over. The numbers of an open bar are not final.",
    ),
    (
        "origin",
        "A provider's history endpoint, a venue's candle stream, or built from trades or smaller candles.",
    ),
    (
        "revision",
        "How often the closed bar has been corrected by late trades; absent when 0.",
    ),
    ("market_cap", "Market capitalisation, in quote currency."),
    ("volume_24h", "Volume over 24 h, in quote currency."),
    ("change_24h", "Change over 24 h, in percent."),
    ("native", "The venue's own name."),
    ("base", "Canonical base currency."),
    ("quote", "Canonical quote currency."),
    ("instrument.kind", "What the instrument is."),
    ("active", "Whether it can be traded now."),
    ("price_step", "Smallest price step, in quote currency."),
    ("size_step", "Smallest size step (the lot), in base currency."),
    ("name", "The series."),
    ("value", "The value."),
    ("alert.value", "The value that was seen."),
    ("params", "What the value was computed with."),
    ("from", "Start, UTC."),
    ("to", "End, UTC."),
    ("reason", "Why data is missing."),
    ("missed", "How many messages or trades are missing, where known."),
    ("rule", "The rule."),
    ("severity", "How urgent: to know, to look at, to act on."),
    ("message", "What happened."),
    ("threshold", "The threshold that the value passed."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_told_and_nothing_else() {
        let mut told = Vec::new();
        for event_type in EventType::ALL {
            assert!(!of_type(*event_type).is_empty(), "{event_type}");
            for column in qicore_data::columns::columns(*event_type) {
                assert!(
                    !of_column(*event_type, column.name).is_empty(),
                    "{event_type}.{}",
                    column.name
                );
                told.extend([column.name.to_owned(), format!("{event_type}.{}", column.name)]);
            }
        }
        for (name, _) in COLUMNS {
            assert!(told.iter().any(|of| of == name), "{name} is no column");
        }
    }
}
