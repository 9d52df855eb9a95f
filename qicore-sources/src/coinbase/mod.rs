//! Coinbase: the feeds and REST interfaces of Advanced Trade and of Exchange, whose old names are GDAX and Coinbase Pro.
//!
//! ## Advanced Trade
//!
//! | channel or endpoint | event | time | rule |
//! |---|---|---|---|
//! | `l2_data` | `book` snapshot or delta, sequence `sequence_num` | latest `event_time` | `offer` is the ask side |
//! | `market_trades` | `trade`s, oldest first | `time` | |
//! | `ticker`, `ticker_batch` | `ticker`; `quote` where both sides have a size | message | `""` is absent |
//! | `candles` | `candle`, five minutes, never closed | `start`, in seconds | |
//! | `status` | `instrument`s | message | teaches the names |
//! | `heartbeats`, `subscriptions`, errors | none | | control |
//! | `…/products/{id}/candles` | `candle`s, oldest first | `start`, in seconds | |
//! | `…/products/{id}/ticker` | `trade`s, oldest first; `ticker` of the newest | `time` | no ticker if `start` or `end` was asked for |
//! | `…/product_book` | `book` snapshot | `time` | |
//! | `…/best_bid_ask` | `quote` of each product | `time` | |
//! | `…/products`, `…/products/{id}` | `instrument`s | none | teaches the names |
//! | `…/time` | none | | control |
//!
//! `sequence_num` counts the messages of a connection over all channels. After a jump each symbol seen on the connection
//! gets a `gap` event, since nobody can say whose message was lost; a message that cannot be decoded counts as lost,
//! one of a channel that is not decoded does not. So a lane is to hold one connection at a time. 0 begins a new connection.
//!
//! Whoever subscribes to `BTC-USDC` may be sent `BTC-USD`, the same book: events have the name that the message has.
//!
//! ## Exchange
//!
//! | `type` or endpoint | event | time | rule |
//! |---|---|---|---|
//! | `match`, `last_match` | `trade` | `time` | |
//! | `rfq_match` | `trade` | `time` | its ids are not compared: nothing says that they are of the same count |
//! | `ticker` | `ticker`; `quote` where both sides have a size (since 2022) | `time` | |
//! | `snapshot`, `l2update` | `book` snapshot or delta, no sequence | `time`, if not of the year 1 | size 0 deletes |
//! | `status` | `instrument`s | none | teaches the names |
//! | `heartbeat` | none, or a `gap` | `time` | control |
//! | `received`, `open`, `done`, `change`, `activate`, `auction` | none | | control: single orders are not normalised |
//! | rows of `level3` | `trade` of a `match`, else none | last element | no id, no side; control |
//! | `level3`, `subscriptions`, `error`, requests of a client | none | | control |
//! | `/products/{id}/candles` | `candle`s, oldest first | first element, in seconds | `[time, low, high, open, close, volume]` |
//! | `/products/{id}/trades` | `trade`s, oldest first | `time` | |
//! | `/products/{id}/book` | `book` snapshot, `sequence` | `time`; older ones have none | orders of level 3 are summed to levels |
//! | `/products/{id}/ticker`, `…/stats` | `ticker` | `time`; stats have none | no event without a last price |
//! | `/products`, `/products/{id}` | `instrument`s | none | teaches the names |
//! | `/currencies`, `/time` | none | | control |
//! | `/v2/exchange-rates` (of neither) | `price` of the currency in each other one | none | |
//!
//! `trade_id` is consecutive in each product. A jump is a loss, told by a `gap` event before the trade; so is a heartbeat's
//! `last_trade_id` that has not come by the next heartbeat. `last_match` begins the count. `sequence` counts the changes of a
//! product, of which only `full` carries each: it is not compared. That a change of the book was lost cannot be seen.
//!
//! ## Answers
//!
//! An answer does not say what it answers. That is in its URL (`frame.channel`), or else in the context: `channel` is
//! `exchange_rest_candles`, `…_trades`, `…_book`, `…_ticker`, `…_stats`, `…_products`, `…_product`, `…_currencies`, `…_time`;
//! `advanced_rest_candles`, `…_ticker`, `…_product_book`, `…_best_bid_ask`, `…_products`, `…_product`, `…_time`, also as
//! `advanced_rest_market_…`; `v2_exchange_rates`; `error_envelopes`. A product that is in neither body nor URL is the context's symbol. The granularity of candles is the URL's, or the context's timeframe, or as
//! long as the shortest way between two rows. A candle is closed when it was over at the time of receipt; if that is not
//! known, all but the newest. An error of the venue is that error, with its kind and whether to try again.
//!
//! ## Sides
//!
//! `side` is the **maker's** everywhere, and ours the taker's. Exchange documents it; in its recorded connection each trade
//! has a change of the book at its very time and price, on the side that `side` names. Advanced Trade does not document it;
//! its recorded session shows it of the feed, where the trades marked `SELL` print at the ask. Tests hold on to both. Of its
//! endpoint `…/ticker` there is no recording with a book, and the output of ccxt's mapper beside the recorded answer is a
//! ticker without a side: its trades are taken to be those of the feed, as the documentation of nautilus_coinbase also says.
//!
//! Sources: docs.cdp.coinbase.com (`advanced-trade-asyncapi.json`, websocket-channels, exchange/reference,
//! exchange/websocket-feed) and the recordings that the tests read.

mod client;
mod decoder;
mod error;
mod exchange;
mod instruments;
mod parse;
mod request;
mod rest;
mod sequence;
mod trade_ids;
pub mod wire;

use qicore_data::{Mistakes, Settings, Source};

pub use decoder::Decoder;
pub(crate) use error::answer_error;

use crate::Market;

/// Coinbase as a source: [`Market`] tells what it does.
pub fn source() -> Market {
    Market::new("coinbase", client::Coinbase::protocol)
}

pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
    Market::build("coinbase", client::Coinbase::protocol, settings)
}
