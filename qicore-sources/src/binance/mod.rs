//! Binance spot: binance.com and, as a venue of its own, binance.us.
//!
//! Decodes what the streams send, combined (`{"stream":…,"data":…}`) or raw:
//!
//! | stream | event | time | rule |
//! |---|---|---|---|
//! | `aggTrade` | `trade`, id `a` | `T` | `m`: the buyer is the maker, so the taker sold |
//! | `trade` | `trade`, id `t` | `T` | likewise; the ids are not those of `aggTrade` |
//! | `blockTrade` | `trade`, id `t` | `T` | likewise; made beside the book |
//! | `bookTicker`, `!bookTicker` | `quote` | none | no `e`: known by its stream, or by its form |
//! | `depth`, `depth@100ms` | `book` delta, sequence `u` | `E` | `U` is the last `u` + 1, else a `gap` comes first |
//! | `depth5/10/20` | `book` snapshot, sequence `lastUpdateId` | none | the symbol is in the stream's name |
//! | `kline_*` | `candle`, closed `x` | `t` | |
//! | `ticker`, `ticker_1d`, `miniTicker`, `!…@arr` | `ticker` | `E` | |
//! | `ticker_1h`, `ticker_4h` | `ticker` | `E` | the last price only: the rest is not over 24 hours |
//! | `avgPrice` | `price` | `T` | the mean over minutes is no trade's price |
//! | `referencePrice` | `series` `reference_price` | `t` | no event where none is set |
//!
//! alone or in a list of one type; and the bodies of endpoints, known by the URL of the frame or by the context's channel
//! (`rest_klines`, `rest_ticker_24hr`):
//!
//! | endpoint | event | time | rule |
//! |---|---|---|---|
//! | `/klines`, `/uiKlines`, `/continuousKlines` | `candle`s | open time | see below |
//! | `/trades`, `/historicalTrades` | `trade`s, id `id` | `time` | ids as those of the stream `trade` |
//! | `/historicalBlockTrades` | `trade`s, id `id` | `time` | ids as those of the stream `blockTrade` |
//! | `/aggTrades` | `trade`s, id `a` | `T` | ids as those of the stream `aggTrade` |
//! | `/ticker/24hr`, `/ticker` | `ticker`, or a list | `closeTime` | `/ticker`: over the window asked for |
//! | `/ticker/tradingDay` | `ticker`, or a list | `closeTime`, or of receipt if that is earlier | over the day |
//! | `/ticker/price` | `ticker`, or a list | `time`, or none | the last price only |
//! | `/ticker/bookTicker` | `quote`, or a list | `time`, or none | |
//! | `/avgPrice` | `price` | `closeTime`, or none | the mean over minutes is no trade's price |
//! | `/referencePrice` | `series` `reference_price` | `timestamp` | no event where none is set |
//! | `/depth` | `book` snapshot, sequence `lastUpdateId` | none | |
//! | `/exchangeInfo` | `instrument`s | `serverTime` | steps from `PRICE_FILTER` and `LOT_SIZE`; teaches the names |
//! | `/time`, `/ping`, `/executionRules` | none | | control |
//!
//! A symbol that is not in the body is in the URL (`symbol=`), else in the context. The context's is also that of an
//! answer about one instrument whose name nothing tells. A candle's timeframe is in the URL (`interval=`), else in the
//! context, else told by the first row whose open and close time are those of one. It is closed where its close time is
//! before the time of receipt. Where that is not known, the last row of a page is taken for open: the bar that is still
//! open must never be written as final. A trade that does not say who was the maker has no side.
//!
//! Of COIN-M futures (`/dapi/`) sizes are numbers of contracts. Candles, trades and tickers tell them in base currency too,
//! which is what is taken; a candle of theirs is known by its URL only. What has no size in base currency (`/aggTrades`,
//! `/ticker/bookTicker`, `/depth`) is refused. A contract's name may be a spot pair's: decode the instrument list first.
//!
//! An error (`{"code":…,"msg":…}`) that answers a request is an error of the decoder, of the kind that its code means.
//!
//! `aggTrade` and `trade` of one symbol tell the same trades twice, under ids of two series: a pipeline is to get one of
//! them, or volumes are counted double and one id may stand for two trades.
//!
//! Where the venue sends no time, an event has the time of receipt. Over a WebSocket, answers to requests, errors and
//! `serverShutdown` are control messages. Times are milliseconds, or microseconds where the connection asks for them: their size tells.
//!
//! Names run together (`BTCUSDT`). The instrument list tells which symbol one stands for; without it, it is split before
//! the longest quote currency known.
//!
//! Sources: `binance/binance-spot-api-docs` (`web-socket-streams.md`, `rest-api.md`) and the recorded session that the
//! tests read.

mod client;
mod continuity;
mod control;
mod decoder;
mod error;
mod instruments;
mod parse;
mod request;
mod rest;
mod route;
mod symbols;
pub mod wire;

use qicore_data::{Mistakes, Settings, Source};

pub use decoder::Decoder;

use crate::Market;

/// Binance as a source: [`Market`] tells what it does.
pub fn source() -> Market {
    Market::new("binance", client::Binance::protocol)
}

pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
    Market::build("binance", client::Binance::protocol, settings)
}
