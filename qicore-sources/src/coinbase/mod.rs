//! Coinbase Advanced Trade: its public WebSocket channels and its product list.
//!
//! | channel or endpoint | event | time | rule |
//! |---|---|---|---|
//! | `l2_data` | `book` snapshot or delta, sequence `sequence_num` | latest `event_time` | `offer` is the ask side |
//! | `market_trades` | `trade`s, oldest first | `time` | `side` is the **maker's**: ours is the other one |
//! | `ticker`, `ticker_batch` | `ticker`; `quote` where both sides have a size | message | `""` is absent |
//! | `candles` | `candle`, five minutes, never closed | `start`, in seconds | |
//! | `status` | `instrument`s | message | teaches the names |
//! | `heartbeats`, `subscriptions`, errors | none | | control |
//! | `/api/v3/brokerage/market/products` | `instrument`s | none | likewise |
//!
//! `sequence_num` counts the messages of a connection over all channels. After a jump each symbol seen on the connection
//! gets a `gap` event, since nobody can say whose message was lost; a message that cannot be decoded counts as lost,
//! one of a channel that is not decoded does not. So a lane is to hold one connection at a time. 0 begins a new connection.
//!
//! The list of trades is newest first in snapshots and updates alike; ours go out in the order of time. That `side` is
//! the maker's is what the recorded session shows against the book, and a test holds on to it. Whoever subscribes to
//! `BTC-USDC` may be sent `BTC-USD`, the same book: events have the name that the message has.
//!
//! The Coinbase **Exchange** feed (`match`, `l2update`, …) is another protocol and is refused by name.
//!
//! Sources: docs.cdp.coinbase.com (`advanced-trade-asyncapi.json`, websocket-channels) and the recorded session that
//! the tests read.

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

pub use decoder::Decoder;
pub(crate) use error::answer_error;
