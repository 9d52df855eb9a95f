//! Kraken, spot.
//!
//! [`Decoder`] reads WebSocket **v1** (`wss://ws.kraken.com`), WebSocket **v2** (`wss://ws.kraken.com/v2`) and answers of
//! the REST interface (`https://api.kraken.com/0/public/…`), and tells them apart by their form.
//!
//! | v1 | v2 | event | timestamp |
//! |---|---|---|---|
//! | `trade` | `trade` | a `trade` for each; the side is the taker's; v1 has no ids | of the trade |
//! | `ticker` | `ticker` | `ticker` over the last 24 hours; v2 also tells a `quote` | v2: of the change; v1 has none: of receipt |
//! | `spread` | | `quote` | of the change |
//! | `ohlc-MINUTES` | `ohlc` | `candle`, never `closed`: nothing says so | open time; in v1 `etime`, the end, less the interval |
//! | `book-DEPTH` | `book` | `book`, with `checksum` where it was compared; a mismatch adds a `gap` | of the latest change of a level |
//! | | `instrument` | `instrument` for each pair | of receipt |
//! | | `level3` | a snapshot of orders is a `book` snapshot, their sizes summed by price; changes are refused | of the latest order |
//!
//! In v2 a price of 0 and a time in 1970 stand for none (pairs that nobody trades), and are left out.
//!
//! | REST | event | timestamp |
//! |---|---|---|
//! | `AssetPairs` | `instrument` for each pair | of receipt |
//! | `OHLC` | `candle` for each row, `closed` up to the row that `last` names: the one after it is not committed yet | open time |
//! | `Trades` | `trade` for each row; older answers have no ids | of the trade |
//! | `Depth` | `book` snapshot, without a checksum | of the latest change of a level |
//! | `GroupedBook` | `book` snapshot of coarser levels, each the sum of several | of receipt |
//! | `Spread` | `series` `best_bid` and `best_ask`: there are no sizes to make a quote of | of the change |
//! | `Ticker` | `ticker` for each pair, without `open`, which is of the day since midnight | of receipt |
//! | `Assets`, `SystemStatus`, `Time` | none: control | |
//!
//! Which endpoint a body is from tells the frame's URL, or else the context's channel (`rest_OHLC`). The bars of `OHLC`
//! are as long as the URL's `interval` (without one, a minute), or as the context's timeframe, or as their distance. An
//! answer with an error in it is that error, with advice on whether to ask again.
//!
//! Acknowledgements (also of refused subscriptions), statuses, heartbeats, pongs, and the client's own requests, which
//! recordings of both directions hold, are control messages. Unknown channels, events and methods are errors.
//!
//! # Names
//!
//! Pairs are named `XBT/CHF` over v1, `BTC/CHF` over v2, and `XXBTZUSD` or `XBTUSD` over REST; `XBT` is `BTC` and `XDG` is
//! `DOGE`. A list of pairs that has been decoded comes first; else what was asked for (the URL's `pair`, the context's
//! symbol) names the only pair of an answer; else rules do, which know the usual quote currencies. `AUSD` they know beside
//! `XBT` and `MON` alone: `ADAUSD` is ADA in dollars.
//!
//! # Checksums
//!
//! With [`verify_checksums`](crate::VenueContext::verify_checksums) off no book is maintained and `checksum` is absent.
//! After a mismatch there is nothing to compare with until the next snapshot.
//!
//! The checksums of v2 are of digits at the pair's precision. `instrument` and `AssetPairs` tell it, where they come over
//! the same lane; else it is the most fractional digits seen, and counts as known once a checksum holds at it. Until then
//! `checksum` is absent. The depth of a book, which messages do not tell either, is that of the acknowledgement; without
//! one it is the least that has room for the snapshot. Unless the snapshot fills it, a book that differs may be but cut
//! wrongly: `checksum` is absent then too.
//!
//! Rules are from docs.kraken.com (WebSocket v1 and v2, "Book checksum", REST), and from recordings where those are
//! silent: that a trade's side is the taker's, and that a change of both sides comes as two payloads in v1.

mod checksum;
mod client;
mod decoder;
mod error;
mod instruments;
mod names;
mod pairs;
mod parse;
mod precision;
mod rest;
mod v2;
pub mod wire;

use qicore_data::{Error, Mistakes, Settings, Source};

pub use decoder::Decoder;

use crate::Market;

/// Kraken as a source: [`Market`] tells what it does.
pub fn source() -> Market {
    Market::new("kraken", client::Kraken::protocol)
}

pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
    Market::build("kraken", client::Kraken::protocol, settings)
}

/// The error of a payload that is not what Kraken documents. What serde says may quote the payload at any length.
fn malformed(operation: &'static str, error: serde_json::Error) -> Error {
    let said = error.to_string();
    let message = match excerpt(&said, 200) {
        start if start.len() < said.len() => format!("{start}… at line {} column {}", error.line(), error.column()),
        _ => said,
    };
    Error::decode(operation, message).with_source(error)
}

/// At most so many characters of a text from a payload, for an error message.
fn excerpt(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}
