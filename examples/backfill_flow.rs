//! The backfill flow: history straight into ClickHouse and TimescaleDB, no broker between.
//!
//! ```sh
//! eval "$(./scripts/services.sh start timescale clickhouse)"
//! cargo run --release --features timescale,clickhouse --example backfill_flow
//! ```
//! Kill it when you like and start it again: it goes on where it was. After its end another run writes nothing.

#![allow(clippy::print_stdout, reason = "an example talks")]

mod flows;

use flows::Outcome;
use qicore::prelude::*;
use qicore::stores::{clickhouse, timescale};

#[tokio::main]
async fn main() -> Outcome {
    flows::run(&["backfill"], &[]).await?;

    let url = std::env::var("QICORE_TIMESCALE_URL")?;
    let relational = timescale::Store::new(&timescale::Connection::url(url), &timescale::Tables::default())?;
    let url = std::env::var("QICORE_CLICKHOUSE_URL")?;
    let columnar = clickhouse::Store::new(&clickhouse::Connection::url(url), &clickhouse::Tables::default())?;
    let latest = (
        relational.latest_candles(Timeframe::H1).await?,
        columnar.latest_candles(Timeframe::H1).await?,
    );
    relational.close().await;
    println!(
        "\n{} symbols in TimescaleDB, {} in ClickHouse",
        latest.0.len(),
        latest.1.len()
    );
    println!("{}", flows::candles(&latest.1[..latest.1.len().min(5)]));
    Ok(())
}
