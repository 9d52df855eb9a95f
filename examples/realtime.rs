//! The real-time flow: recorded sessions of three venues, at the speed they had → Kafka → validation → Kafka → TimescaleDB.
//!
//! ```sh
//! eval "$(./scripts/services.sh start kafka timescale)"
//! cargo run --release --features kafka,timescale --example realtime
//! ```
//! Kill it when you like and start it again: it goes on where it was. After its end another run writes nothing.

#![allow(clippy::print_stdout, reason = "an example talks")]

mod flows;
#[path = "flows/topics.rs"]
mod topics;

use flows::Outcome;
use qicore::prelude::*;
use qicore::stores::timescale::{Connection, Store, Tables};

#[tokio::main]
async fn main() -> Outcome {
    topics::make().await?;
    flows::run(&["ingest-stream"], &["validate", "write-timescale"]).await?;

    let connection = Connection::url(std::env::var("QICORE_TIMESCALE_URL")?);
    let store = Store::new(&connection, &Tables::default())?;
    let latest = store.latest_candles(Timeframe::M1).await?;
    println!("\nThe latest 1 m candle of each symbol\n{}", flows::candles(&latest));
    store.close().await;
    Ok(())
}
