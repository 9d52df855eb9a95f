//! A recorded session of a real venue into ClickHouse, and the candles, days and health read back.
//!
//! ```sh
//! eval "$(./scripts/services.sh start clickhouse)"
//! cargo run --release --features clickhouse --example clickhouse
//! ```
//! The server is that of `QICORE_CLICKHOUSE_URL`, the database `qicore_example`. A second run writes nothing: the database
//! knows how far the recording has been written.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;

use comfy_table::Table;
use qicore::prelude::*;
use qicore::stores::clickhouse::{Connection, Store, Tables};
use qicore::transform::{Candles, Dedupe, Validate};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/KRAKEN.jsonl.zst");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("QICORE_CLICKHOUSE_URL")
        .map_err(|_| "no server: eval \"$(./scripts/services.sh start clickhouse)\" starts one")?;
    let connection = Connection::url(url);
    let tables = Tables::in_database("qicore_example");

    let summary = Pipeline::builder("example")
        .source(Replay::recording(RECORDING))
        .transform(Validate::default())
        .transform(Dedupe::default())
        .transform(Candles::new([Timeframe::S1, Timeframe::M1])?)
        .sink(Clickhouse::new(connection.clone()).tables(tables.clone()))
        .build()?
        .run()
        .await?;
    let sink = &summary.stats.sinks[0];
    println!("{} rows written in {} batches\n", sink.rows, sink.deliveries);

    let store = Store::new(&connection, &tables)?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["symbol", "opened", "open", "high", "low", "close", "volume", "state"]);
    for event in store.latest_candles(Timeframe::M1).await? {
        let Data::Candle(bar) = &event.data else { continue };
        let numbers = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|number| number.to_string());
        let state = if bar.closed {
            "closed"
        } else {
            "still open when the recording ended"
        };
        let mut row = vec![event.symbol.to_string(), event.timestamp.to_string()];
        row.extend(numbers);
        row.push(state.into());
        table.add_row(row);
    }
    println!("The latest 1 m candle of each symbol\n{table}\n");

    let health = store.health().await?;
    let parts: u64 = health.tables.iter().map(|table| table.parts).sum();
    let bytes: u64 = health.tables.iter().map(|table| table.bytes).sum();
    println!(
        "ClickHouse {}, schema {:?}, ready: {}, {parts} parts of {bytes} bytes",
        health.server,
        health.schema,
        health.is_ready(),
    );
    println!("Days: SELECT * FROM qicore_example.ohlcv_daily WHERE symbol = 'XMR/USD'");
    Ok(())
}
