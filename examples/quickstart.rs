//! The main job with nothing installed: recorded sessions of three venues through parse → validate → dedupe → candles
//! into Parquet files, at full speed. Or the same from the network.
//!
//! ```sh
//! cargo run --release --example quickstart [FOLDER]
//! cargo run --release --example quickstart -- --live kraken BTC/USD ETH/USD [--for 30s]
//! ```
//! The files go to FOLDER, by default `target/quickstart`, which is emptied first. Ctrl-C ends it, and what has been read is
//! written.
#![allow(clippy::print_stdout, reason = "what an example is for")]

mod venues;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use qicore::prelude::*;
use venues::{Address, Outcome, Runs, Venue};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data");

/// Market data into validated events, candles and Parquet files.
#[derive(Parser)]
struct Arguments {
    /// Where the files go; by default target/quickstart, which is emptied first.
    folder: Option<PathBuf>,
    /// From the network in place of recordings: binance, coinbase or kraken, and instruments.
    #[arg(long, num_args = 1.., value_name = "VENUE [SYMBOL]")]
    live: Vec<String>,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    runs: Runs,
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments = Arguments::parse();
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => emptied("target/quickstart")?,
    };
    let mut running = Vec::new();
    for (venue, source) in sources(&arguments)? {
        running.push((venue, pipeline(venue, source, &folder)?.start()));
    }
    let progress = Progress::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let over = arguments.runs.over();
    tokio::pin!(over);
    while !running.iter().all(|(_, handle)| handle.is_finished()) {
        tokio::select! {
            ended = &mut over => { ended?; break }
            _ = ticks.tick() => progress.show(running.iter().map(|(_, handle)| handle.stats())),
        }
    }
    progress.clear();

    let mut done = Vec::new();
    for (venue, handle) in running {
        handle.stop();
        done.push((venue, handle.wait().await?.stats));
    }
    println!("{}", summary(&done));
    println!(
        "\nParquet files are in {} (type=…/exchange=…/date=…).",
        folder.display()
    );
    println!("The first candles in them:\n{}", first_candles(&folder).await?);
    Ok(())
}

/// What is read: the recorded sessions, or one venue's stream.
fn sources(arguments: &Arguments) -> Outcome<Vec<(Venue, Box<dyn Source>)>> {
    let Some((name, symbols)) = arguments.live.split_first() else {
        let recording = |venue: Venue| {
            let name = venue.to_string().to_uppercase();
            Box::new(Replay::recording(format!("{RECORDINGS}/{name}.jsonl.zst"))) as Box<dyn Source>
        };
        return Ok(Venue::ALL.into_iter().map(|venue| (venue, recording(venue))).collect());
    };
    let venue: Venue = name.parse()?;
    let market = match symbols {
        [] => venue.source().symbols(venue.symbols())?,
        symbols => venue.source().symbols(symbols)?,
    };
    let market = market.channels([Channel::Trades, Channel::Quotes, Channel::Book]);
    Ok(vec![(venue, Box::new(arguments.address.of(market)))])
}

/// One venue's data into files. Run it again after a `kill -9`: it goes on where the files stop.
fn pipeline(venue: Venue, source: Box<dyn Source>, folder: &Path) -> qicore::Result<Pipeline> {
    Pipeline::builder(venue.to_string())
        .boxed_source(source)
        .transform(Validate::default())
        .transform(Dedupe::default())
        .transform(Candles::new([Timeframe::S1, Timeframe::M1])?)
        .sink(Parquet::new(folder))
        .dead_letters(folder.join(format!("dead-letters-{venue}.jsonl")))
        .build()
}

/// A table with a column for each venue.
fn summary(done: &[(Venue, Stats)]) -> Table {
    let totals: Vec<_> = done.iter().map(|(_, stats)| (stats.total(), stats)).collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once(String::new()).chain(done.iter().map(|(venue, _)| venue.to_string())));
    let mut row = |name: &str, cell: &dyn Fn(&LaneStats, &Stats) -> String| {
        table.add_row(std::iter::once(name.to_owned()).chain(totals.iter().map(|(total, stats)| cell(total, stats))));
    };
    row("messages", &|total, _| total.messages.to_string());
    row("  of them control", &|total, _| total.control.to_string());
    for kind in EventType::ALL
        .iter()
        .filter(|kind| totals.iter().any(|(total, _)| total.read.contains_key(kind)))
    {
        row(&format!("{kind} events"), &|total, _| {
            total.read.get(kind).unwrap_or(&0).to_string()
        });
    }
    row("candles built", &|total, stats| {
        // The stage also puts out alerts, of trades that came too late.
        let alerts = total.written.get(&EventType::Alert).copied().unwrap_or(0);
        let added = stats
            .stages
            .iter()
            .filter(|stage| stage.name == "candles")
            .map(|stage| stage.given - stage.taken);
        (added.sum::<u64>() - alerts).to_string()
    });
    row("duplicates dropped", &|_, stats| {
        stats
            .stages
            .iter()
            .filter(|stage| stage.name == "dedupe")
            .map(|stage| stage.taken - stage.given)
            .sum::<u64>()
            .to_string()
    });
    row("book checksums ok", &|total, _| total.checksums_ok.to_string());
    row("book checksums failed", &|total, _| total.checksums_failed.to_string());
    row("gaps", &|total, _| {
        total.read.get(&EventType::Gap).unwrap_or(&0).to_string()
    });
    row("rejected", &|total, stats| {
        (total.rejected + stats.sinks.iter().map(|sink| sink.rejected).sum::<u64>()).to_string()
    });
    row("rows written", &|_, stats| {
        stats.sinks.iter().map(|sink| sink.rows).sum::<u64>().to_string()
    });
    row("seconds", &|_, stats| format!("{:.2}", stats.elapsed.as_secs_f64()));
    row("events/s", &|total, stats| {
        format!("{:.0}", total.events() as f64 / stats.elapsed.as_secs_f64())
    });
    table
        .column_iter_mut()
        .skip(1)
        .for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Reads the files back, as a backtest would: a stored data set is a source like any other.
async fn first_candles(folder: &Path) -> Outcome<Table> {
    let candles = Memory::new();
    Pipeline::builder("read-back")
        .source(Replay::new([folder]))
        .transform(Filter::new(|event| event.event_type() == EventType::Candle))
        .sink(candles.clone())
        .build()?
        .run()
        .await?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "venue",
        "symbol",
        "",
        "open time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "trades",
    ]);
    let mut events = candles.events();
    events.retain(|event| matches!(&event.data, Data::Candle(candle) if candle.origin == Origin::Built));
    for venue in Venue::ALL {
        for event in events
            .iter()
            .filter(|event| event.exchange.as_str() == venue.to_string())
            .take(3)
        {
            if let Data::Candle(candle) = &event.data {
                let head = [
                    event.exchange.to_string(),
                    event.symbol.to_string(),
                    candle.timeframe.to_string(),
                ];
                let prices = [candle.open, candle.high, candle.low, candle.close, candle.volume];
                let prices = prices.map(|price| price.normalize().to_string());
                let trades = candle.trades.map_or_else(String::new, |trades| trades.to_string());
                table.add_row(
                    head.into_iter()
                        .chain([event.timestamp.to_string()])
                        .chain(prices)
                        .chain([trades, candle.closed.to_string()]),
                );
            }
        }
    }
    Ok(table)
}

fn emptied(folder: &str) -> std::io::Result<PathBuf> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(folder.into()),
    }
}

/// A line while it works, where standard error is a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .ok()
            .filter(|_| std::io::stderr().is_terminal());
        Self(style.map(|style| ProgressBar::new_spinner().with_style(style)))
    }

    fn show(&self, stats: impl Iterator<Item = Stats>) {
        let Some(bar) = &self.0 else { return };
        let (mut messages, mut events, mut rows) = (0, 0, 0);
        for stats in stats {
            messages += stats.total().messages;
            events += stats.total().events();
            rows += stats.sinks.iter().map(|sink| sink.rows).sum::<u64>();
        }
        bar.set_message(format!("{messages} messages, {events} events, {rows} rows written"));
        bar.tick();
    }

    fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
