#![doc = include_str!("../README.md")]

pub use qicore_data::*;
pub use qicore_sinks as sinks;
pub use qicore_sources as sources;
#[cfg(feature = "binance")]
pub use qicore_sources::binance;
#[cfg(feature = "coinbase")]
pub use qicore_sources::coinbase;
#[cfg(feature = "kraken")]
pub use qicore_sources::kraken;
#[cfg(any(feature = "binance", feature = "coinbase", feature = "kraken"))]
pub use qicore_sources::{CaptureConfig, Channel, Market, MarketConfig, NetConfig, Stream};
#[cfg(any(
    feature = "clickhouse",
    feature = "kafka",
    feature = "messages",
    feature = "timescale"
))]
pub use qicore_stores as stores;
pub use qicore_stream::*;

/// Every plugin of this build, and the names of those whose feature is off.
pub fn registry() -> Registry {
    Registry::default()
        .sources(sources::SOURCES)
        .transforms(transform::TRANSFORMS)
        .sinks(sinks::SINKS)
        .dead_letters(sinks::DEAD_LETTERS)
}

/// What a program that builds pipelines needs, in one `use`.
pub mod prelude {
    pub use qicore_data::{Data, Event, EventType, Exchange, Lane, Origin, Result, Symbol, Timeframe, Timestamp};
    pub use qicore_data::{Sink, Source, Transform};
    pub use qicore_stream::{Handle, LaneStats, Options, Pipeline, SinkOptions, Stats, Summary};

    pub use crate::sinks::*;
    pub use crate::sources::*;
    pub use crate::transform::*;
}
