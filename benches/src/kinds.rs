//! The kinds of messages, and a bare serde decode of each into the venue's typed structs.

use std::hint::black_box;

use qicore::sources::{binance, coinbase, kraken};
use serde::de::IgnoredAny;

/// Reads a payload into its typed struct and lets go of it.
pub type Bare = fn(&[u8]) -> serde_json::Result<()>;

/// A kind of message of a venue.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The plugin's name.
    pub venue: &'static str,
    /// The venue's name of the kind.
    pub name: &'static str,
    /// Where its frames are.
    pub origin: Origin,
    /// The reference.
    pub bare: Bare,
}

/// Where the frames of a kind are.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// In the venue's recorded session: those whose text this holds for, and no earlier kind's.
    Recorded(fn(&str) -> bool),
    /// Not recorded: in a file of test data.
    Fixture(&'static str),
}

macro_rules! kinds {
    ($($venue:literal { $($name:literal $origin:expr => $type:ty;)+ })+) => {
        /// All kinds.
        pub const KINDS: &[Kind] = &[$($(Kind {
            venue: $venue,
            name: $name,
            origin: $origin,
            bare: |payload| {
                // Faster than `from_slice`, which checks every string of a payload by itself.
                let text = std::str::from_utf8(payload).map_err(serde::de::Error::custom)?;
                serde_json::from_str::<$type>(text).map(|message| drop(black_box(message)))
            },
        },)+)+];
    };
}

use Origin::{Fixture, Recorded};

kinds! {
    "kraken" {
        "trade" Recorded(|text| text.contains("],\"trade\",")) => kraken::wire::Message<'_, Vec<kraken::wire::Trade>>;
        "ticker" Recorded(|text| text.contains("},\"ticker\",")) => kraken::wire::Message<'_, kraken::wire::Ticker>;
        "book-snapshot" Recorded(|text| text.contains(",{\"as\":[")) => kraken::wire::BookMessage<'_>;
        "book-delta" Recorded(|text| text.contains("},\"book-")) => kraken::wire::BookMessage<'_>;
        "AssetPairs" Recorded(|text| text.starts_with("{\"error\""))
            => kraken::wire::Response<'_, kraken::wire::Members<'_, kraken::wire::AssetPair<'_>>>;
        "control" Recorded(|text| text.starts_with('{')) => kraken::wire::Event<'_>;
        "spread" Fixture("kraken/ws1_spread/cmp_bbo_spot_13.json")
            => kraken::wire::Message<'_, kraken::wire::Spread>;
        "ohlc" Fixture("kraken/ws1_ohlc/gct_3.json") => kraken::wire::Message<'_, kraken::wire::Ohlc>;
    }
    "coinbase" {
        "l2_data-snapshot" Recorded(|text| is_channel(text, "l2_data", "snapshot"))
            => coinbase::wire::Message<coinbase::wire::L2Event<'_>>;
        "l2_data-update" Recorded(|text| is_channel(text, "l2_data", "update"))
            => coinbase::wire::Message<coinbase::wire::L2Event<'_>>;
        "ticker" Recorded(|text| is_channel(text, "ticker", "")) => coinbase::wire::Message<coinbase::wire::TickersEvent<'_>>;
        "market_trades-snapshot" Recorded(|text| is_channel(text, "market_trades", "snapshot"))
            => coinbase::wire::Message<coinbase::wire::TradesEvent<'_>>;
        "market_trades-update" Recorded(|text| is_channel(text, "market_trades", "update"))
            => coinbase::wire::Message<coinbase::wire::TradesEvent<'_>>;
        "candles" Recorded(|text| is_channel(text, "candles", "")) => coinbase::wire::Message<coinbase::wire::CandlesEvent<'_>>;
        "heartbeats" Recorded(|text| is_channel(text, "heartbeats", "")) => coinbase::wire::Message<IgnoredAny>;
        "subscriptions" Recorded(|text| is_channel(text, "subscriptions", "")) => coinbase::wire::Message<IgnoredAny>;
        "products" Recorded(|text| text.starts_with("{\"products\":")) => coinbase::wire::Products<'_>;
    }
    "binance" {
        "depth" Recorded(|text| is_stream(text, "@depth@")) => binance::wire::Combined<binance::wire::DepthUpdate<'_>>;
        "bookTicker" Recorded(|text| is_stream(text, "@bookTicker\""))
            => binance::wire::Combined<binance::wire::BookTicker<'_>>;
        "aggTrade" Recorded(|text| is_stream(text, "@aggTrade\"")) => binance::wire::Combined<binance::wire::AggTrade<'_>>;
        "kline" Recorded(|text| is_stream(text, "@kline_")) => binance::wire::Combined<binance::wire::Kline<'_>>;
        "rest-depth" Recorded(|text| text.starts_with("{\"lastUpdateId\":")) => binance::wire::DepthSnapshot<'_>;
        "exchangeInfo" Recorded(|text| text.starts_with("{\"timezone\":")) => binance::wire::ExchangeInfo<'_>;
        "trade" Fixture("binance/ws_trade/barter_trade_0.json") => binance::wire::Trade<'_>;
    }
}

fn is_channel(text: &str, channel: &str, event: &str) -> bool {
    let rest = text
        .strip_prefix("{\"channel\":\"")
        .and_then(|rest| rest.strip_prefix(channel));
    rest.is_some_and(|rest| {
        rest.starts_with('"') && (event.is_empty() || rest.contains(&format!("[{{\"type\":\"{event}\"")))
    })
}

fn is_stream(text: &str, part: &str) -> bool {
    text.starts_with("{\"stream\":\"") && text.split(',').next().is_some_and(|stream| stream.contains(part))
}

impl Kind {
    /// `kraken/trade`.
    pub fn path(&self) -> String {
        format!("{}/{}", self.venue, self.name)
    }

    /// The kind of a frame of a recorded session.
    pub fn of(venue: &str, text: &str) -> Option<&'static Self> {
        KINDS
            .iter()
            .filter(|kind| kind.venue == venue)
            .find(|kind| match kind.origin {
                Recorded(holds) => holds(text),
                Fixture(_) => false,
            })
    }
}
