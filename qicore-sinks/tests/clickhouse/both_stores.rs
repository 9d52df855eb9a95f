//! One pipeline feeds TimescaleDB and ClickHouse: both hold the same rows, value for value.

use std::sync::Arc;

use qicore_sinks::{Clickhouse, Timescale};
use qicore_stream::{Pipeline, SinkOptions};

use crate::{same, servers};

/// A recorded session of Kraken, as it is shipped with the examples.
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/KRAKEN.jsonl.zst");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_the_same_rows_of_a_recording() {
    use qicore_stream::transform::{Candles, Dedupe, DedupeConfig, Validate};
    let (timescale, clickhouse) = (servers::postgres().await, servers::clickhouse());
    let pipeline = Pipeline::builder("both")
        .source(qicore_sources::Replay::recording(RECORDING))
        .transform(Validate::default())
        .transform(Dedupe::new(DedupeConfig::default()).unwrap())
        .transform(Candles::new([qicore_data::Timeframe::S1, qicore_data::Timeframe::M1]).unwrap())
        .sink_with(
            Arc::new(Timescale::new(timescale.connection()).tables(timescale.tables())),
            SinkOptions::default().name("timescale"),
        )
        .sink_with(
            Arc::new(Clickhouse::new(clickhouse.connection()).tables(clickhouse.tables())),
            SinkOptions::default().name("clickhouse"),
        );
    let summary = pipeline.build().unwrap().run().await.unwrap();
    let (one, other) = (timescale.all().await, clickhouse.all().await);
    assert!(one.len() > 1000 && summary.stats.sinks.len() == 2, "{} rows", one.len());
    same(&other, &one);
}
