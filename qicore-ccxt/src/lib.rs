//! Candles, tickers and trades of any exchange that [CCXT](https://github.com/ccxt/ccxt) knows, by REST, as a QiCore
//! [`Source`]. What it is for is **breadth**: a hundred exchanges at once, for research, for coverage, for a venue that
//! nobody has written natively yet.
//!
//! For Binance, Coinbase and Kraken use the native sources of `qicore-sources`: they are exact, live by WebSocket, tell
//! every gap, have order books, and cost seconds to build.
//!
//! # What to know
//!
//! - **Numbers are floats.** CCXT hands out `f64`. Each is written with the fewest digits that name it and read as a
//!   decimal from there: what the exchange sent with up to 15 significant digits comes out as it was (less trailing
//!   zeros), longer numbers are rounded to what a float holds. So every event has quality `medium` and the reason
//!   [`FLOAT`].
//! - **It asks, and is not told**: history between `from` and `to`, or a question every [`every`](CcxtConfig::every).
//!   Between two questions only the newest ticker is seen. CCXT keeps to the exchange's rate limit, one request at a time.
//! - **Only bars that are over** are given: one that is followed by another, or that ended five seconds ago by the local
//!   clock, which must not be ahead. Corrections that come later are not seen.
//! - **Restarts repeat nothing**: candles go on behind the last open time, trades behind the last time and the ids seen
//!   there. Trades that an exchange adds later with an earlier time are not seen.
//! - **Gaps**: when an exchange answers with trades that do not reach back to those seen before (it only has the newest),
//!   a `gap` of reason `provider` tells it. Where it has no history that old in the first place, or no bars for a while,
//!   CCXT does not tell the difference from a market without trades, and neither does this crate.
//! - **Errors of CCXT are panics** that it catches itself: each prints through the process's panic hook, with whole URLs,
//!   and a build with `panic = "abort"` dies of the first one. A program with an API key sets a hook that leaves them out.
//! - **Build**: two to three minutes of CPU for one exchange in debug, a quarter of an hour in release; all of them take
//!   19 GB of memory. One cargo feature for each exchange: `ccxt-kraken`, `ccxt-okx`, …
//!
//! ```
//! use qicore_ccxt::{Ccxt, CcxtConfig};
//! use qicore_data::Symbol;
//!
//! let mut config = CcxtConfig::default();
//! config.exchange = "bitstamp".into();
//! config.symbols = vec![Symbol::new("BTC/USD")?];
//! config.data = vec!["candles:1m".parse()?, "trades".parse()?];
//! let source = Ccxt::new(config);    // for Pipeline::builder("bitstamp").source(source)
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program adds it to what its configuration files can name with `Registry::sources(qicore_ccxt::SOURCES)`:
//!
//! ```toml
//! [source]
//! type = "ccxt"
//! exchange = "bitstamp"
//! symbols = ["BTC/USD"]
//! data = ["candles:1m"]
//! from = "2026-11-01T00:00:00Z"
//! to = "2026-11-02T00:00:00Z"
//! ```

mod config;
mod error;
mod page;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod value;
mod worker;

use qicore_data::{Plugin, Source};

pub use config::{CcxtConfig, Wanted};
pub use source::Ccxt;

/// The reason for the quality `medium` of each event: its numbers have been floats.
pub const FLOAT: &str = "float";

/// The source, for a registry.
pub const SOURCES: &[Plugin<Box<dyn Source>>] = &[Plugin::new(
    "ccxt",
    "candles, tickers and trades of any exchange that CCXT knows, by REST; numbers are floats",
    Ccxt::build,
)];
