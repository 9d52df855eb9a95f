//! QiCore's sources: recorded and stored data, a synthetic market, and the venues.
//!
//! Each plugin is one folder behind one cargo feature, and one row in [`SOURCES`] or [`VENUES`].

#[cfg(feature = "binance")]
pub mod binance;
#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "coinbase")]
pub mod coinbase;
#[cfg(feature = "replay")]
pub mod dead_letters;
#[cfg(feature = "replay")]
pub mod decode;
#[cfg(feature = "generator")]
pub mod generator;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kraken")]
pub mod kraken;
#[cfg(feature = "net")]
#[cfg_attr(
    not(all(feature = "binance", feature = "coinbase", feature = "kraken")),
    allow(dead_code, unused_imports, reason = "no venue alone uses all of it")
)]
mod market;
#[cfg(feature = "net")]
#[cfg_attr(
    not(all(feature = "binance", feature = "coinbase", feature = "kraken")),
    allow(dead_code, unused_imports, reason = "no venue alone uses all of it")
)]
mod net;
#[cfg(feature = "replay")]
pub mod replay;
#[cfg(any(feature = "clickhouse", feature = "timescale"))]
pub mod stored;
#[cfg(feature = "timescale")]
mod timescale;
mod venue;

use qicore_data::{Build, Plugin, Source};

#[cfg(feature = "clickhouse")]
pub use clickhouse::{ClickhouseRows, ClickhouseRowsConfig};
#[cfg(feature = "generator")]
pub use generator::Generator;
#[cfg(feature = "kafka")]
pub use kafka::{KafkaTopics, KafkaTopicsConfig, Until};
#[cfg(feature = "net")]
pub use market::{CaptureConfig, Market, MarketConfig, Order};
#[cfg(feature = "net")]
pub use net::{Budget, NetConfig, Window};
#[cfg(feature = "replay")]
pub use replay::Replay;
#[cfg(feature = "timescale")]
pub use timescale::{TimescaleRows, TimescaleRowsConfig};
#[cfg(feature = "net")]
pub use venue::{Channel, Stream};
pub use venue::{NewDecoder, SymbolMap, VENUES, Venue, VenueContext};

/// The builder of a source, where its feature is on.
macro_rules! build {
    ($feature:literal, $build:path) => {{
        #[cfg(feature = $feature)]
        const BUILD: Option<Build<Box<dyn Source>>> = Some($build);
        #[cfg(not(feature = $feature))]
        const BUILD: Option<Build<Box<dyn Source>>> = None;
        BUILD
    }};
}

/// All sources that configuration files can name, compiled in or not.
pub const SOURCES: &[Plugin<Box<dyn Source>>] = &[
    Plugin::behind(
        "binance",
        "Binance and Binance US: live, history, or both joined",
        "binance",
        build!("binance", binance::build),
    ),
    Plugin::behind(
        "coinbase",
        "Coinbase Advanced Trade: live, history, or both joined",
        "coinbase",
        build!("coinbase", coinbase::build),
    ),
    Plugin::behind(
        "kraken",
        "Kraken: live, history, or both joined",
        "kraken",
        build!("kraken", kraken::build),
    ),
    Plugin::behind(
        "replay",
        "recorded sessions and stored data sets, at full speed or as recorded",
        "replay",
        build!("replay", replay::Replay::build),
    ),
    Plugin::behind(
        "generator",
        "a deterministic synthetic market",
        "generator",
        build!("generator", generator::Generator::build),
    ),
    Plugin::behind(
        "timescale",
        "rows stored in TimescaleDB or PostgreSQL, in the order of their times",
        "timescale",
        build!("timescale", timescale::TimescaleRows::build),
    ),
    Plugin::behind(
        "clickhouse",
        "rows stored in ClickHouse, each once, in the order of their times",
        "clickhouse",
        build!("clickhouse", clickhouse::ClickhouseRows::build),
    ),
    Plugin::behind(
        "kafka",
        "topics of Kafka and Redpanda, shared by the workers of a group",
        "kafka",
        build!("kafka", kafka::KafkaTopics::build),
    ),
    Plugin::behind(
        "dead-letters",
        "rows and payloads that an earlier run could not process",
        "replay",
        build!("replay", dead_letters::DeadLetters::build),
    ),
];
