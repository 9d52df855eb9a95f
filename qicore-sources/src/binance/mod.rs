//! Binance spot: binance.com and, as a venue of its own, binance.us.
//!
//! Decodes what the streams send, combined (`{"stream":…,"data":…}`) or raw, and the bodies of two endpoints:
//!
//! | stream or endpoint | event | time | rule |
//! |---|---|---|---|
//! | `aggTrade` | `trade`, id `a` | `T` | `m`: the buyer is the maker, so the taker sold |
//! | `trade` | `trade`, id `t` | `T` | likewise; the ids are not those of `aggTrade` |
//! | `bookTicker`, `!bookTicker` | `quote` | none | no `e`: known by its stream, or by its form |
//! | `depth`, `depth@100ms` | `book` delta, sequence `u` | `E` | `U` is the last `u` + 1, else a `gap` comes first |
//! | `depth5/10/20` | `book` snapshot, sequence `lastUpdateId` | none | the symbol is in the stream's name |
//! | `kline_*` | `candle`, closed `x` | `t` | |
//! | `ticker`, `miniTicker`, `!…@arr` | `ticker` | `E` | |
//! | `/depth` | `book` snapshot, sequence `lastUpdateId` | none | the symbol is in the URL |
//! | `/exchangeInfo` | `instrument`s | `serverTime` | steps from `PRICE_FILTER` and `LOT_SIZE`; teaches the names |
//!
//! `aggTrade` and `trade` of one symbol tell the same trades twice, under ids of two series: a pipeline is to get one of
//! them, or volumes are counted double and one id may stand for two trades.
//!
//! Where the venue sends no time, an event has the time of receipt. Answers to requests, errors and `serverShutdown` are
//! control messages. Times are milliseconds, or microseconds where the connection asks for them: their size tells.
//!
//! Names run together (`BTCUSDT`). The instrument list tells which symbol one stands for; without it, it is split before
//! the longest quote currency known.
//!
//! Sources: `binance/binance-spot-api-docs` (`web-socket-streams.md`, `rest-api.md`) and the recorded session that the
//! tests read.

mod continuity;
mod decoder;
mod instruments;
mod parse;
mod route;
mod symbols;
pub mod wire;

pub use decoder::Decoder;
