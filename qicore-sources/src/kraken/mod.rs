//! Kraken, spot.
//!
//! [`Decoder`] reads WebSocket **v1** (`wss://ws.kraken.com`) and the list of pairs over REST:
//!
//! | channel | event | timestamp |
//! |---|---|---|
//! | `trade` | a `trade` for each; the side is the taker's; v1 has no ids | of the trade |
//! | `ticker` | `ticker` over the last 24 hours | of receipt: the venue sends none |
//! | `spread` | `quote` | of the change |
//! | `ohlc-MINUTES` | `candle`, never `closed`: v1 does not say so | open time: `etime`, the end, less the interval |
//! | `book-DEPTH` | `book`, with `checksum` where it was compared; a mismatch adds a `gap` | the latest change of a level |
//! | REST `AssetPairs` | `instrument` for each pair | of receipt |
//!
//! WebSocket v2 and the other REST answers are refused with an error.
//!
//! `systemStatus`, `subscriptionStatus` (also of a refused subscription), `heartbeat`, `pong` and `error` are control
//! messages; an object with any other `event` is an error.
//!
//! Pairs are named `XBT/CHF` over the WebSocket, and `XXBTZUSD` or `XBTUSD` over REST; `XBT` is `BTC` and `XDG` is
//! `DOGE`. With [`verify_checksums`](crate::VenueContext::verify_checksums) off no book is maintained and `checksum` is
//! absent.
//!
//! Rules are from docs.kraken.com (WebSocket v1, "Book checksum", `AssetPairs`), and from recordings where those are
//! silent: that a trade's side is the taker's, and that a change of both sides comes as two payloads.

mod checksum;
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

use qicore_data::Error;

pub use decoder::Decoder;

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
