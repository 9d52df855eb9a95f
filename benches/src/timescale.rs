//! The Timescale sink on PostgreSQL against `psql \copy` of the same rows.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use qicore::prelude::*;
use qicore::sinks::Timescale;
use qicore::stores::timescale::write::Rows;
use qicore::stores::timescale::{Connection, Flavour, Mode, Table, Tables, script};
use qicore::{Candle, Checkpoint, Decimal, Delivery, Label, Position, Quality, Trade, WriterId};
use tokio::runtime::Runtime;

use crate::Result;

/// Symbols that take turns.
const SYMBOLS: u64 = 500;
/// The schema that is measured in.
const SCHEMA: &str = "qicore_bench";

/// A database to measure with.
#[derive(Debug)]
pub struct Bench {
    url: String,
    folder: PathBuf,
}

/// Rows of one kind, in the order of their arrival: symbol after symbol, minute after minute.
pub fn events(event_type: EventType, rows: u64) -> Result<Vec<Event>> {
    let exchange = "bench".parse()?;
    let source = Label::new("bench")?;
    let symbols: Vec<Symbol> = (0..SYMBOLS)
        .map(|number| format!("S{number:03}/USD").parse())
        .collect::<std::result::Result<_, _>>()?;
    let received: Timestamp = "2026-01-01T00:00:00.000123456Z".parse()?;
    let event = |row: u64| {
        let (turn, symbol) = (row / SYMBOLS, row % SYMBOLS);
        let cents = |base: u64, spread: u64| Decimal::new((base * 100 + (row * 7919) % spread) as i64, 2);
        let (at, data) = match event_type {
            EventType::Candle => (turn * 60_000_000_000, candle(&cents, turn)),
            _ => (turn * 1_000_000, trade(&cents, row)),
        };
        let at = Timestamp::from_nanos(received.nanos() / 60_000_000_000 * 60_000_000_000 + at as i64);
        Event {
            exchange,
            symbol: symbols[symbol as usize],
            timestamp: at,
            received: Some(at.saturating_add(Duration::from_nanos(61_000_123_456))),
            source,
            quality: Quality::High,
            data,
        }
    };
    Ok((0..rows).map(event).collect())
}

fn candle(cents: &dyn Fn(u64, u64) -> Decimal, turn: u64) -> qicore::Data {
    let volume = Decimal::new(123_456_789 + (turn * 104_729 % 1_000_000_007) as i64, 8);
    let candle = Candle {
        timeframe: Timeframe::M1,
        open: cents(67_000, 10_000),
        high: cents(67_200, 10_000),
        low: cents(66_900, 10_000),
        close: cents(67_050, 10_000),
        volume,
        quote_volume: Some(volume * Decimal::new(67_000, 0)),
        trades: Some(100 + turn % 900),
        closed: true,
        origin: Origin::Websocket,
        revision: 0,
    };
    candle.into()
}

fn trade(cents: &dyn Fn(u64, u64) -> Decimal, row: u64) -> qicore::Data {
    let trade = Trade {
        id: Some((1_000_000_000 + row).into()),
        side: Some(if row.is_multiple_of(3) {
            qicore::Side::Sell
        } else {
            qicore::Side::Buy
        }),
        price: cents(67_000, 10_000),
        size: Decimal::new(1_000 + (row * 7919 % 99_991) as i64, 8),
    };
    trade.into()
}

/// Deliveries of `size` rows, each with its checkpoint, one list a lane. Lanes have symbols of their own.
pub fn deliveries(events: &[Event], lanes: u64, size: usize) -> Vec<Vec<Delivery>> {
    let of_lane = |number: u64| {
        let lane = Lane::new(format!("bench/{number}"));
        let own = |event: &&Event| {
            let symbol: u64 = event.symbol.base()[1..].parse().unwrap_or_default();
            symbol % lanes == number
        };
        let own: Vec<Event> = events.iter().filter(own).cloned().collect();
        let mut after = 0;
        let deliver = |chunk: &[Event]| {
            let to = after + chunk.len() as u64;
            let mut delivery = Delivery::of(lane.clone(), after, to, chunk.to_vec());
            delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(to))));
            after = to;
            delivery
        };
        own.chunks(size).map(deliver).collect()
    };
    (0..lanes).map(of_lane).collect()
}

impl Bench {
    /// Makes the schema anew.
    pub fn new(url: String, folder: &Path) -> Result<Self> {
        let bench = Self {
            url,
            folder: folder.to_owned(),
        };
        let tables = Tables::in_schema(SCHEMA);
        bench.psql(&[format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")])?;
        bench.psql(&[script(&tables, Flavour::Plain, 0)])?;
        Ok(bench)
    }

    fn tables() -> Tables {
        Tables::in_schema(SCHEMA).mode(Mode::Plain)
    }

    /// Runs statements and `\copy` commands in one session.
    fn psql(&self, commands: &[String]) -> Result<()> {
        let mut psql = Command::new("psql");
        psql.args(["-qX", "-v", "ON_ERROR_STOP=1", &self.url])
            .stdout(Stdio::null());
        for command in commands {
            psql.arg("-c").arg(command);
        }
        match psql.status()?.success() {
            true => Ok(()),
            false => Err("psql has failed".into()),
        }
    }

    /// Empties the table of a kind and forgets all positions; settles the server.
    pub fn empty(&self, table: &Table) -> Result<()> {
        self.psql(&[
            format!("TRUNCATE {SCHEMA}.{}, {SCHEMA}.qicore_lanes", table.name),
            "CHECKPOINT".into(),
        ])
    }

    /// Forgets all positions, so that the same deliveries can come again.
    pub fn rewind(&self) -> Result<()> {
        self.psql(&[format!("TRUNCATE {SCHEMA}.qicore_lanes"), "CHECKPOINT".into()])
    }

    /// The rows as a file for `\copy`, in the order of their arrival.
    pub fn file(&self, table: &'static Table, events: &[Event]) -> Result<PathBuf> {
        let mut rows = Rows::new(table, events.len());
        for event in events {
            rows.push(event)?;
        }
        let path = self.folder.join(table.name);
        let mut file = File::create(&path)?;
        for part in rows.copy(0..rows.len()) {
            file.write_all(part)?;
        }
        Ok(path)
    }

    /// `psql \copy` of a file straight into the table. The time of the whole program, which starts in some 20 ms.
    pub fn copy(&self, table: &Table, file: &Path) -> Result<Duration> {
        let columns = table.column_names().join(", ");
        let copy = format!(
            "\\copy {SCHEMA}.{}({columns}) from '{}' (format binary)",
            table.name,
            file.display()
        );
        let start = Instant::now();
        self.psql(&[copy])?;
        Ok(start.elapsed())
    }

    /// What one would write by hand where rows may be there already: a staging table, and one `ON CONFLICT` that leaves
    /// rows alone that are the same.
    pub fn staged_copy(&self, table: &Table, file: &Path) -> Result<Duration> {
        let columns = table.column_names();
        let (key, values): (Vec<_>, Vec<_>) = columns.iter().partition(|name| table.has_key(name));
        let list = |prefix: &str| {
            values
                .iter()
                .map(|name| format!("{prefix}.{name}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let set: Vec<_> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let (name, all) = (table.name, columns.join(", "));
        let key: Vec<&str> = key.into_iter().map(String::as_str).collect();
        let merge = format!(
            "INSERT INTO {SCHEMA}.{name} AS t ({all}) SELECT {all} FROM staging ON CONFLICT ({}) DO UPDATE SET {}, \
             updated_at = now() WHERE ({}) IS DISTINCT FROM ({})",
            key.join(", "),
            set.join(", "),
            list("t"),
            list("excluded"),
        );
        let start = Instant::now();
        self.psql(&[
            "BEGIN".into(),
            format!("CREATE TEMPORARY TABLE staging ON COMMIT DROP AS SELECT {all} FROM {SCHEMA}.{name} WITH NO DATA"),
            format!("\\copy staging({all}) from '{}' (format binary)", file.display()),
            merge,
            "COMMIT".into(),
        ])?;
        Ok(start.elapsed())
    }

    /// A sink with so many connections.
    pub fn sink(&self, connections: u32) -> Timescale {
        let connection = Connection::url(self.url.as_str()).connections(connections);
        Timescale::new(connection).tables(Self::tables())
    }

    /// The time that the sink needs for all deliveries, lanes side by side, with everything committed.
    pub fn write(&self, runtime: &Runtime, lanes: &[Vec<Delivery>], connections: u32) -> Result<Duration> {
        let sink = Arc::new(self.sink(connections));
        let start = Instant::now();
        runtime.block_on(async {
            sink.open(&WriterId::new("bench", "timescale")).await?;
            let mut tasks = tokio::task::JoinSet::new();
            for deliveries in lanes {
                let (sink, deliveries) = (Arc::clone(&sink), deliveries.clone());
                tasks.spawn(async move { write_lane(&sink, &deliveries).await });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            sink.close().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        })?;
        Ok(start.elapsed())
    }

    /// How many rows a table has.
    pub fn count(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {SCHEMA}.{}", table.name);
        let out = Command::new("psql").args(["-qXAt", &self.url, "-c", &sql]).output()?;
        Ok(String::from_utf8(out.stdout)?.trim().parse()?)
    }
}

async fn write_lane(sink: &Timescale, deliveries: &[Delivery]) -> qicore::Result<()> {
    let Some(first) = deliveries.first() else { return Ok(()) };
    sink.checkpoint(&first.lane).await?;
    for delivery in deliveries {
        let receipt = sink.write(delivery).await?;
        if let Some(row) = receipt.rejected.into_iter().next() {
            return Err(row.error);
        }
    }
    Ok(())
}
