//! A recorded session of a real venue into TimescaleDB (or PostgreSQL without it), and the latest candles read back.
//!
//! ```sh
//! eval "$(./scripts/services.sh start timescale)"      # or: postgres
//! cargo run --release --features timescale --example timescale
//! ```
//! The database is that of `QICORE_TIMESCALE_URL`, else of `QICORE_POSTGRES_URL`. A second run writes nothing: the
//! database knows how far the recording has been written.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;

use comfy_table::Table;
use qicore::prelude::*;
use qicore::stores::timescale::{Connection, Store, Tables};
use qicore::transform::{Candles, Dedupe, Validate};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/KRAKEN.jsonl.zst");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = ["QICORE_TIMESCALE_URL", "QICORE_POSTGRES_URL"].map(std::env::var);
    let url = url.into_iter().find_map(Result::ok);
    let url = url.ok_or("no database: eval \"$(./scripts/services.sh start timescale)\" starts one")?;
    let connection = Connection::url(url).application_name("qicore-example");

    let summary = Pipeline::builder("example")
        .source(Replay::recording(RECORDING))
        .transform(Validate::default())
        .transform(Dedupe::default())
        .transform(Candles::new([Timeframe::S1, Timeframe::M1])?)
        .sink(Timescale::new(connection.clone()))
        .build()?
        .run()
        .await?;
    let sink = &summary.stats.sinks[0];
    println!("{} rows written in {} transactions\n", sink.rows, sink.deliveries);

    let store = Store::new(&connection, &Tables::default())?;
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
    println!(
        "PostgreSQL {}, TimescaleDB {}, schema {:?}, {} jobs",
        health.server,
        health.extension.as_deref().unwrap_or("none"),
        health.schema,
        health.jobs.len()
    );
    store.close().await;
    Ok(())
}
