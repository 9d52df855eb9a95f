//! The analytical flow: batches of history → Kafka → validation → Kafka → ClickHouse and TimescaleDB.
//!
//! ```sh
//! eval "$(./scripts/services.sh start kafka timescale clickhouse)"
//! cargo run --release --features kafka,timescale,clickhouse --example analytical
//! ```
//! Kill it when you like and start it again: it goes on where it was. After its end another run writes nothing.

#![allow(clippy::print_stdout, reason = "an example talks")]

mod flows;
#[path = "flows/topics.rs"]
mod topics;

use flows::Outcome;
use qicore::prelude::*;
use qicore::stores::clickhouse::{Connection, Store, Tables};

#[tokio::main]
async fn main() -> Outcome {
    topics::make().await?;
    let ingests = ["ingest-instruments", "ingest-batches"];
    flows::run(&ingests, &["validate", "write-clickhouse", "write-timescale"]).await?;

    let connection = Connection::url(std::env::var("QICORE_CLICKHOUSE_URL")?);
    let store = Store::new(&connection, &Tables::default())?;
    let latest = store.latest_candles(Timeframe::M1).await?;
    let some = &latest[..latest.len().min(10)];
    println!(
        "\nThe latest 1 m candle of {} of {} symbols\n{}",
        some.len(),
        latest.len(),
        flows::candles(some)
    );
    Ok(())
}
