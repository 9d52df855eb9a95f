//! The ClickHouse sink against `curl` with a ready-made file of the same rows, and against the driver's row inserter.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clickhouse::Client;
use qicore::prelude::*;
use qicore::sinks::Clickhouse;
use qicore::stores::clickhouse::write::{Numbered, encode};
use qicore::stores::clickhouse::{Connection, Decimals, Store, Table, Tables};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::Result;

/// The database that is measured in.
const DATABASE: &str = "qicore_bench";

/// A server to measure with.
pub struct Bench {
    url: String,
    folder: PathBuf,
    runtime: Runtime,
    client: Client,
}

impl Bench {
    /// Makes the database anew.
    pub fn new(url: String, folder: &Path) -> Result<Self> {
        let bench = Self {
            client: Client::default()
                .with_url(&url)
                .with_compression(clickhouse::Compression::None),
            folder: folder.to_owned(),
            runtime: crate::pipelines::cores(1)?,
            url,
        };
        bench.sql(&format!("DROP DATABASE IF EXISTS {DATABASE} SYNC"))?;
        bench.runtime.block_on(bench.store()?.migrate())?;
        Ok(bench)
    }

    fn connection(&self) -> Connection {
        Connection::url(self.url.as_str())
    }

    fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.connection(), &Tables::in_database(DATABASE))?)
    }

    fn sql(&self, sql: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client.query_raw(sql).execute())?)
    }

    fn number(&self, sql: &str) -> Result<f64> {
        Ok(self.runtime.block_on(self.client.query_raw(sql).fetch_one())?)
    }

    /// A sink with so many connections.
    pub fn sink(&self, connections: u32) -> Clickhouse {
        Clickhouse::new(self.connection().connections(connections)).database(DATABASE)
    }

    /// Empties the table of a kind and forgets all positions.
    pub fn empty(&self, table: &Table) -> Result<()> {
        for table in [table.name, "qicore_lanes"] {
            self.sql(&format!("TRUNCATE TABLE {DATABASE}.{table} SYNC"))?;
        }
        // What merges are still under way would be measured with what comes next.
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    }

    /// How many rows a table has.
    pub fn count(&self, table: &Table) -> Result<u64> {
        Ok(self.number(&format!(
            "SELECT toFloat64(count()) FROM {DATABASE}.{} FINAL",
            table.name
        ))? as u64)
    }

    /// Bytes of a row on the disk once everything is merged.
    pub fn bytes_on_disk(&self, table: &Table) -> Result<f64> {
        self.sql(&format!("OPTIMIZE TABLE {DATABASE}.{} FINAL", table.name))?;
        self.number(&format!(
            "SELECT sum(data_compressed_bytes) / sum(rows) FROM system.parts WHERE database = '{DATABASE}' AND table = '{}' AND active",
            table.name
        ))
    }

    /// The rows in the order of their arrival as a file of the server's own making.
    pub fn file(&self, table: &'static Table, events: &[Event]) -> Result<PathBuf> {
        let name = format!("{DATABASE}.arrival_{}", table.name);
        self.sql(&format!(
            "CREATE OR REPLACE TABLE {name} ENGINE = Memory AS {DATABASE}.{}",
            table.name
        ))?;
        self.rows_inserted(table, events, &name)?;
        let path = self.folder.join(table.name);
        let sql = format!("SELECT * FROM {name} FORMAT Native");
        let query = [
            ("max_block_size", "10000000"),
            ("max_threads", "1"),
            ("preferred_block_size_bytes", "0"),
        ];
        let settings = query.map(|(name, value)| format!("{name}={value}")).join("&");
        let made = Command::new("curl")
            .args(["-fsS", "--data-binary", &sql, &format!("{}/?{settings}", self.url)])
            .stdout(File::create(&path)?)
            .status()?;
        self.sql(&format!("DROP TABLE {name} SYNC"))?;
        if made.success() {
            Ok(path)
        } else {
            Err("curl has failed".into())
        }
    }

    /// `curl` posting a file.
    pub fn curl(&self, table: &Table, file: &Path) -> Result<Duration> {
        let url = format!(
            "{}/?query=INSERT+INTO+{DATABASE}.{}+FORMAT+Native",
            self.url, table.name
        );
        let start = Instant::now();
        let done = Command::new("curl")
            .args([
                "-fsS",
                "-H",
                "Expect:",
                "--data-binary",
                &format!("@{}", file.display()),
                &url,
            ])
            .status()?;
        if done.success() {
            Ok(start.elapsed())
        } else {
            Err("curl has failed".into())
        }
    }

    /// The driver's own inserter of rows into the table of a kind.
    pub fn inserter(&self, table: &Table, events: &[Event]) -> Result<Duration> {
        self.rows_inserted(table, events, &format!("{DATABASE}.{}", table.name))
    }

    fn rows_inserted(&self, table: &Table, events: &[Event], into: &str) -> Result<Duration> {
        self.runtime.block_on(async {
            match table.event_type {
                EventType::Candle => insert(&self.client, into, events.iter().filter_map(candle_row)).await,
                _ => insert(&self.client, into, events.iter().filter_map(trade_row)).await,
            }
        })
    }

    /// The time to sort and encode rows, and how many bytes a row has.
    pub fn encoded(table: &'static Table, events: &[Event], size: usize) -> (Duration, f64) {
        let start = Instant::now();
        let mut bytes = 0;
        for chunk in events.chunks(size) {
            let rows = (0..).zip(chunk).map(|(place, event)| Numbered {
                place,
                number: u64::from(place),
                event,
            });
            let rows: Vec<_> = rows.collect();
            let block = encode(table, Decimals::Decimal128, 1, &rows);
            bytes += block.parts.iter().map(|part| part.len()).sum::<usize>();
        }
        (start.elapsed(), bytes as f64 / events.len() as f64)
    }
}

async fn insert<T>(client: &Client, table: &str, rows: impl Iterator<Item = T>) -> Result<Duration>
where
    T: Serialize + clickhouse::RowOwned + clickhouse::RowWrite + for<'a> clickhouse::Row<Value<'a> = T>,
{
    let start = Instant::now();
    let mut insert = client.insert_unescaped::<T>(table).await?;
    for row in rows {
        insert.write(&row).await?;
    }
    insert.end().await?;
    Ok(start.elapsed())
}

/// A decimal with 18 digits behind the point.
fn units(value: qicore::Decimal) -> i128 {
    value.mantissa() * 10_i128.pow(18 - value.scale())
}

// Words are numbers to the driver: those that the rows of this bench have.

#[derive(clickhouse::Row, Serialize, serde::Deserialize)]
struct CandleRow {
    exchange: String,
    symbol: String,
    timestamp: i64,
    received: Option<i64>,
    source: String,
    quality: i8,
    timeframe: i8,
    open: i128,
    high: i128,
    low: i128,
    close: i128,
    volume: i128,
    quote_volume: Option<i128>,
    trades: Option<u64>,
    closed: bool,
    origin: i8,
    revision: u64,
    version: u64,
}

fn candle_row(event: &Event) -> Option<CandleRow> {
    let Data::Candle(bar) = &event.data else { return None };
    let received = event.received.map(Timestamp::nanos);
    Some(CandleRow {
        exchange: event.exchange.to_string(),
        symbol: event.symbol.to_string(),
        timestamp: event.timestamp.nanos(),
        received,
        source: event.source.to_string(),
        quality: 1,
        timeframe: 2,
        open: units(bar.open),
        high: units(bar.high),
        low: units(bar.low),
        close: units(bar.close),
        volume: units(bar.volume),
        quote_volume: bar.quote_volume.map(units),
        trades: bar.trades,
        closed: bar.closed,
        origin: 2,
        revision: u64::from(bar.revision),
        version: received.unwrap_or_default() as u64 | (u64::from(bar.closed) << 63),
    })
}

#[derive(clickhouse::Row, Serialize, serde::Deserialize)]
struct TradeRow {
    exchange: String,
    symbol: String,
    timestamp: i64,
    received: Option<i64>,
    source: String,
    quality: i8,
    id: String,
    side: i8,
    price: i128,
    size: i128,
    seq: u64,
    twin: u64,
    version: u64,
}

fn trade_row(event: &Event) -> Option<TradeRow> {
    let Data::Trade(trade) = &event.data else { return None };
    let received = event.received.map(Timestamp::nanos);
    Some(TradeRow {
        exchange: event.exchange.to_string(),
        symbol: event.symbol.to_string(),
        timestamp: event.timestamp.nanos(),
        received,
        source: event.source.to_string(),
        quality: 1,
        id: trade.id.as_ref().map_or(String::new(), ToString::to_string),
        side: trade.side.map_or(0, |side| side as i8 + 1),
        price: units(trade.price),
        size: units(trade.size),
        seq: 0,
        twin: 0,
        version: received.unwrap_or_default() as u64,
    })
}
