//! Venues, played by local ones in processes of their own.

mod backfill;
mod bare;
mod books;
mod frames;
mod latency;
mod server;
mod soak;
mod stretch;

pub use backfill::{Limited, free, limited};
pub use books::books;
pub use frames::{Feed, core};
pub use latency::receive_to_sink;
pub use server::{Seen, Server};
pub use soak::soak;

use qicore::sources::{Channel, Market, binance, coinbase, kraken};

use crate::Result;

/// A venue that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Venue {
    /// Binance: `aggTrade` in combined streams.
    Binance,
    /// Coinbase: `market_trades`.
    Coinbase,
    /// Kraken: WebSocket v2.
    Kraken,
}

/// Instruments of a feed.
const BASES: [&str; 10] = ["BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LINK", "DOT", "LTC", "AVAX"];

impl Venue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Binance, Self::Coinbase, Self::Kraken];

    /// As plugins and the local venue name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
        }
    }

    /// Canonical names.
    fn symbols(self) -> Vec<String> {
        let quote = if self == Self::Binance { "USDT" } else { "USD" };
        BASES.iter().map(|base| format!("{base}/{quote}")).collect()
    }

    /// All symbols' `channels` of a server, as a source.
    fn source(self, server: &Server, channels: impl IntoIterator<Item = Channel>) -> Result<Market> {
        let source = match self {
            Self::Binance => binance::source(),
            Self::Coinbase => coinbase::source(),
            Self::Kraken => kraken::source(),
        };
        let mut source = source
            .symbols(self.symbols())?
            .channels(channels)
            .at(server.http(), server.ws());
        source.config_mut().exchange_url = Some(server.http().to_owned());
        Ok(source)
    }
}
