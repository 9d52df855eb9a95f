//! Prints how fast the Timescale sink writes to a real PostgreSQL, against `psql`, a line each:
//! `RATIO name value (ours X unit, reference Y unit)`. The database is named by `QICORE_POSTGRES_URL`.
//!
//! Arguments are names, or the beginnings of names. Without any, everything is measured.

use std::io::Write;
use std::time::Duration;

use qicore::stores::timescale::Table;
use qicore::{BatchPolicy, Event, EventType};
use qicore_benches::ratio::measure;
use qicore_benches::rows::{self, deliveries, events};
use qicore_benches::timescale::Bench;
use qicore_benches::{Result, latency, pipelines};

/// Rows of a sample.
const ROWS: u64 = 400_000;
/// Rows of a delivery: what the sink asks for.
const DELIVERY: usize = 20_000;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start.as_str()));
    let url = std::env::var("QICORE_POSTGRES_URL").map_err(|_| "QICORE_POSTGRES_URL names no database")?;
    let folder = tempfile::tempdir()?;
    let bench = Bench::new(url, folder.path())?;
    for (name, event_type) in [("candles", EventType::Candle), ("trades", EventType::Trade)] {
        let table = Table::of(event_type).ok_or("no such table")?;
        let events = events(event_type, ROWS)?;
        let case = Case {
            bench: &bench,
            table,
            events: &events,
        };
        new_rows(&case, name, &wanted)?;
        known_rows(&case, name, &wanted)?;
    }
    floors(&bench, &wanted)?;
    latencies(&bench, &wanted)
}

/// From receipt to commit at 5,000 events/s, at the sink's defaults and in the setting for low latency:
/// `LATENCY name p50 … ms p99 … ms`.
fn latencies(bench: &Bench, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let table = Table::of(EventType::Trade).ok_or("no such table")?;
    let low = BatchPolicy::new(20_000, 16 << 20, Duration::from_millis(5));
    let settings = [
        ("timescale/latency-default", None, false),
        ("timescale/latency-chain", None, true),
        ("timescale/latency-low", Some(low), false),
        ("timescale/latency-low-chain", Some(low), true),
    ];
    for (name, batch, chain) in settings {
        if !wanted(name) {
            continue;
        }
        bench.empty(table)?;
        let runtime = pipelines::cores(2)?;
        let events = events(EventType::Trade, 50_000)?;
        say(latency::line(name, &runtime, bench.sink(2), batch, events, chain)?)?;
    }
    Ok(())
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// New keys: one connection, and several, against one `\copy`.
fn new_rows(case: &Case<'_>, name: &str, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let Case { bench, table, events } = *case;
    let file = bench.file(table, events)?;
    for (variant, connections) in [("one", 1), ("several", 4)] {
        let name = format!("timescale/{name}-new-{variant}");
        if wanted(&name) {
            case.measure(&name, connections, &|| bench.empty(table), &|| bench.copy(table, &file))?;
        }
    }
    Ok(())
}

/// Every tenth row there already, or all of them.
fn known_rows(case: &Case<'_>, name: &str, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let Case { bench, table, events } = *case;
    let tenth: Vec<Event> = events.iter().step_by(10).cloned().collect();
    for (variant, before) in [("tenth", tenth.as_slice()), ("all", events)] {
        let name = format!("timescale/{name}-known-{variant}");
        if !wanted(&name) {
            continue;
        }
        let known = bench.file(table, before)?;
        let kept = known.with_extension("known");
        std::fs::rename(&known, &kept)?;
        let file = bench.file(table, events)?;
        let prepare = || {
            bench.empty(table)?;
            bench.copy(table, &kept)?;
            bench.rewind()
        };
        case.measure(&name, 1, &prepare, &|| bench.staged_copy(table, &file))?;
    }
    Ok(())
}

/// Rows for a table.
struct Case<'a> {
    bench: &'a Bench,
    table: &'static Table,
    events: &'a [Event],
}

impl Case<'_> {
    /// The sink on so many connections against a reference, both after the same preparation.
    fn measure(
        &self,
        name: &str,
        connections: u64,
        prepare: &dyn Fn() -> Result<()>,
        reference: &dyn Fn() -> Result<Duration>,
    ) -> Result<()> {
        let runtime = pipelines::cores(2)?;
        let lanes = deliveries(self.events, connections, DELIVERY);
        let ours = &mut || {
            prepare()?;
            let took = rows::write(&runtime, self.bench.sink(connections as u32), &lanes)?;
            all_there(self.bench, self.table, self.events.len())?;
            Ok(took)
        };
        let reference = &mut || {
            prepare()?;
            reference()
        };
        let work = (self.events.len() as f64, self.events.len() as f64);
        say(measure(name, "rows/s", ROUNDS, work, ours, reference)?)
    }
}

fn all_there(bench: &Bench, table: &Table, rows: usize) -> Result<()> {
    let found = bench.count(table)?;
    match found == rows as u64 {
        true => Ok(()),
        false => Err(format!("{found} of {rows} rows are in {}", table.name).into()),
    }
}

/// Against the speeds that the project promises: batches of 1,000, and single rows on eight connections.
fn floors(bench: &Bench, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let table = Table::of(EventType::Trade).ok_or("no such table")?;
    let rows = [
        ("timescale/batches-of-1000", 100_000, 1, 1000, 10_000.0),
        ("timescale/single-rows", 16_000, 8, 1, 4_600.0),
    ];
    for (name, rows, lanes, size, promised) in rows.into_iter().filter(|row| wanted(row.0)) {
        let runtime = pipelines::cores(2)?;
        let lanes = deliveries(&events(EventType::Trade, rows)?, lanes, size);
        let work = (rows as f64, rows as f64);
        let reference = Duration::from_secs_f64(rows as f64 / promised);
        let ours = &mut || {
            bench.empty(table)?;
            rows::write(&runtime, bench.sink(lanes.len() as u32), &lanes)
        };
        say(measure(name, "rows/s", 3, work, ours, &mut || Ok(reference))?)?;
    }
    Ok(())
}
