//! QiCore's sinks, each behind a feature of its name.
//!
//! | sink | feature | what it does |
//! |---|---|---|
//! | `Jsonl` | `jsonl` (default) | the normalised JSON, one event a line, in partitioned files |
//! | `Csv` | `csv` (default) | flat columns with a header row, in partitioned files |
//! | `Parquet` | `parquet` | typed columns, in partitioned files |
//! | `Clickhouse` | `clickhouse` | ClickHouse, in sorted blocks of columns |
//! | `Kafka` | `kafka` | Kafka and Redpanda, each delivery a transaction |
//! | `Timescale` | `timescale` | TimescaleDB and PostgreSQL, each delivery with its checkpoint |
//! | [`Stdout`] | | the normalised JSON to standard output |
//! | [`Discard`] | | counts events and forgets them |
//! | [`Memory`] | | keeps events, for tests |
//!
//! The file sinks store checkpoints with their rows, so that a restart neither loses a row nor writes one twice: see
//! [`files`].

#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "csv")]
mod csv;
mod discard;
#[cfg(any(feature = "jsonl", feature = "csv", feature = "parquet"))]
pub mod files;
#[cfg(feature = "jsonl")]
mod jsonl;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(any(feature = "clickhouse", feature = "kafka", feature = "timescale"))]
mod lanes;
mod memory;
#[cfg(test)]
#[path = "../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;
#[cfg(feature = "parquet")]
mod parquet;
mod stdout;
#[cfg(all(test, any(feature = "jsonl", feature = "csv", feature = "parquet")))]
mod testing;
#[cfg(feature = "timescale")]
mod timescale;

use std::sync::Arc;

use qicore_data::{Build, DeadLetters, Plugin, Sink};

#[cfg(feature = "csv")]
pub use crate::csv::{CommaSeparated, Csv};
#[cfg(feature = "jsonl")]
pub use crate::jsonl::{JsonLines, Jsonl};
#[cfg(feature = "parquet")]
pub use crate::parquet::{Compression, Parquet, ParquetConfig, ParquetFormat};
#[cfg(feature = "clickhouse")]
pub use clickhouse::{Clickhouse, ClickhouseConfig};
pub use discard::{Discard, DiscardConfig};
#[cfg(feature = "kafka")]
pub use kafka::{Kafka, KafkaConfig, KafkaLetters, KafkaLettersConfig};
pub use memory::Memory;
pub use stdout::{Stdout, StdoutConfig};
#[cfg(feature = "timescale")]
pub use timescale::{Timescale, TimescaleConfig};

/// All sinks that configuration files can name, also those whose feature is off.
pub const SINKS: &[Plugin<Arc<dyn Sink>>] = &[
    Plugin::behind(
        "jsonl",
        "the normalised JSON, one event a line, in partitioned files",
        "jsonl",
        JSONL,
    ),
    Plugin::behind(
        "csv",
        "flat columns with a header row, in partitioned files",
        "csv",
        CSV,
    ),
    Plugin::behind(
        "parquet",
        "typed columns in partitioned Parquet files",
        "parquet",
        PARQUET,
    ),
    Plugin::behind(
        "timescale",
        "TimescaleDB, and PostgreSQL without it, each delivery with its checkpoint",
        "timescale",
        TIMESCALE,
    ),
    Plugin::behind(
        "clickhouse",
        "ClickHouse, in sorted blocks of columns, each row once",
        "clickhouse",
        CLICKHOUSE,
    ),
    Plugin::behind(
        "kafka",
        "Kafka and Redpanda, each delivery a transaction with its checkpoint",
        "kafka",
        KAFKA,
    ),
    Plugin::new(
        "stdout",
        "the normalised JSON to standard output, one event a line",
        stdout::build,
    ),
    Plugin::new("discard", "counts events and forgets them", discard::build),
];

/// All stores of dead letters that configuration files can name, beside the path of a file.
pub const DEAD_LETTERS: &[Plugin<Arc<dyn DeadLetters>>] = &[Plugin::behind(
    "kafka",
    "a topic beside the one that was read",
    "kafka",
    KAFKA_LETTERS,
)];

#[cfg(feature = "kafka")]
const KAFKA_LETTERS: Option<Build<Arc<dyn DeadLetters>>> = Some(kafka::build_letters);
#[cfg(not(feature = "kafka"))]
const KAFKA_LETTERS: Option<Build<Arc<dyn DeadLetters>>> = None;

/// `Some` of a builder whose feature is on.
macro_rules! if_on {
    ($($name:ident $feature:literal $build:path;)+) => {$(
        #[cfg(feature = $feature)]
        const $name: Option<Build<Arc<dyn Sink>>> = Some($build);
        #[cfg(not(feature = $feature))]
        const $name: Option<Build<Arc<dyn Sink>>> = None;
    )+};
}

if_on! {
    JSONL "jsonl" jsonl::build;
    CSV "csv" csv::build;
    PARQUET "parquet" parquet::build;
    CLICKHOUSE "clickhouse" clickhouse::build;
    KAFKA "kafka" kafka::build;
    TIMESCALE "timescale" timescale::build;
}
