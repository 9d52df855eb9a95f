//! Prints how fast the ClickHouse sink writes to a real server, against `curl` and the driver's row inserter, a line each:
//! `RATIO name value (ours X unit, reference Y unit)`. The server is named by `QICORE_CLICKHOUSE_URL`.
//!
//! Arguments are names, or the beginnings of names. Without any, everything is measured.

use std::io::Write;
use std::time::Duration;

use qicore::EventType;
use qicore::stores::clickhouse::Table;
use qicore_benches::clickhouse::Bench;
use qicore_benches::ratio::measure;
use qicore_benches::rows::{self, deliveries, events};
use qicore_benches::{Result, latency, pipelines};

/// Rows of a sample.
const ROWS: u64 = 1_000_000;
/// Rows of a delivery: what the sink asks for.
const DELIVERY: usize = 100_000;
const ROUNDS: usize = 5;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start.as_str()));
    let url = std::env::var("QICORE_CLICKHOUSE_URL").map_err(|_| "QICORE_CLICKHOUSE_URL names no server")?;
    let folder = tempfile::tempdir()?;
    let bench = Bench::new(url, folder.path())?;
    for (name, event_type) in [("candles", EventType::Candle), ("trades", EventType::Trade)] {
        let table = Table::of(event_type).ok_or("no such table")?;
        encoding(name, table, &wanted)?;
        writing(&bench, name, table, &wanted)?;
    }
    floors(&bench, &wanted)?;
    latencies(&bench, &wanted)
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// Sorting and encoding alone, against the promised 4 million rows a second.
fn encoding(name: &str, table: &'static Table, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let name = format!("clickhouse/{name}-encode");
    if !wanted(&name) {
        return Ok(());
    }
    let events = events(table.event_type, ROWS)?;
    let work = (ROWS as f64, ROWS as f64);
    let mut bytes = 0.0;
    let ours = &mut || {
        let (took, size) = Bench::encoded(table, &events, DELIVERY);
        bytes = size;
        Ok(took)
    };
    let promised = Duration::from_secs_f64(ROWS as f64 / 4e6);
    say(measure(&name, "rows/s", ROUNDS, work, ours, &mut || Ok(promised))?)?;
    say(format_args!("BYTES {name} {bytes:.1} a row on the wire"))
}

/// Rows in the order of their arrival: one connection and two, against `curl` and the row inserter.
fn writing(bench: &Bench, name: &str, table: &'static Table, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let all = format!("clickhouse/{name}-write");
    let names = ["curl", "curl-two", "inserter", "two-over-one"].map(|variant| format!("{all}-{variant}"));
    if !names.iter().any(|name| wanted(name)) {
        return Ok(());
    }
    let events = events(table.event_type, ROWS)?;
    let file = bench.file(table, &events)?;
    let runtime = pipelines::cores(2)?;
    let ours = |connections: u64| {
        let lanes = deliveries(&events, connections, DELIVERY);
        move |runtime: &tokio::runtime::Runtime| {
            bench.empty(table)?;
            let took = rows::write(runtime, bench.sink(connections as u32), &lanes)?;
            match bench.count(table)? {
                ROWS => Ok(took),
                found => Err(format!("{found} of {ROWS} rows are in {}", table.name).into()),
            }
        }
    };
    let (one, two) = (ours(1), ours(2));
    let work = (ROWS as f64, ROWS as f64);
    let mut curl = || {
        bench.empty(table)?;
        bench.curl(table, &file)
    };
    let mut inserter = || {
        bench.empty(table)?;
        bench.inserter(table, &events)
    };
    type Sample<'a> = &'a mut dyn FnMut() -> Result<Duration>;
    let run = |name: &String, ours: Sample<'_>, reference: Sample<'_>| -> Result<()> {
        if !wanted(name) {
            return Ok(());
        }
        say(measure(name, "rows/s", ROUNDS, work, ours, reference)?)
    };
    run(&names[0], &mut || one(&runtime), &mut curl)?;
    run(&names[1], &mut || two(&runtime), &mut curl)?;
    run(&names[2], &mut || one(&runtime), &mut inserter)?;
    run(&names[3], &mut || two(&runtime), &mut || one(&runtime))?;
    let bytes = bench.bytes_on_disk(table)?;
    say(format_args!("BYTES {all} {bytes:.1} a row on the disk"))
}

/// Against the speeds that the project promises: a million rows a second in batches of 100,000 on two connections, and
/// 10,000 in batches of 1,000 on one.
fn floors(bench: &Bench, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let table = Table::of(EventType::Candle).ok_or("no such table")?;
    let floors = [
        ("clickhouse/batches-of-100000", 2_000_000, 2, 100_000, 1e6),
        ("clickhouse/batches-of-1000", 100_000, 1, 1000, 10_000.0),
    ];
    for (name, count, lanes, size, promised) in floors.into_iter().filter(|floor| wanted(floor.0)) {
        let runtime = pipelines::cores(2)?;
        let lanes = deliveries(&events(EventType::Candle, count)?, lanes, size);
        let work = (count as f64, count as f64);
        let reference = Duration::from_secs_f64(count as f64 / promised);
        let ours = &mut || {
            bench.empty(table)?;
            rows::write(&runtime, bench.sink(lanes.len() as u32), &lanes)
        };
        say(measure(name, "rows/s", 3, work, ours, &mut || Ok(reference))?)?;
    }
    Ok(())
}

/// From receipt to visible at 5,000 events/s, at the sink's defaults.
fn latencies(bench: &Bench, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
    let table = Table::of(EventType::Trade).ok_or("no such table")?;
    for (name, chain) in [
        ("clickhouse/latency-default", false),
        ("clickhouse/latency-chain", true),
    ] {
        if !wanted(name) {
            continue;
        }
        bench.empty(table)?;
        let runtime = pipelines::cores(2)?;
        let events = events(EventType::Trade, 50_000)?;
        say(latency::line(name, &runtime, bench.sink(2), None, events, chain)?)?;
    }
    Ok(())
}
