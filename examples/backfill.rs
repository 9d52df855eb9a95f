//! A stretch of a venue's history into Parquet (or JSON lines), with progress. Ctrl-C or kill it when you like and give the
//! same command again: it goes on behind the last file that it published.
//!
//! ```sh
//! cargo run --example backfill -- kraken BTC/USD --channels candles:1h --from 2026-11-01 --to 2026-11-20
//!
//! # Without the network: a local venue, which prints its addresses.
//! cargo run -p qicore-localvenue -- --venue binance
//! export QICORE_REST_URL=http://127.0.0.1:PORT QICORE_WS_URL=ws://127.0.0.1:PORT
//! cargo run --example backfill -- binance --channels trades --from YESTERDAY --to TODAY --format jsonl
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

mod venues;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use qicore::prelude::*;
use qicore::transform::Validate;
use venues::{Address, Outcome, Venue};

/// Files are published so often: what a kill makes the next run ask for again is no more.
const AT_RISK: Duration = Duration::from_secs(10);

/// A stretch of a venue's history into files.
#[derive(Parser)]
struct Options {
    venue: Venue,
    /// Instruments, such as BTC/USD; by default what everybody trades there.
    symbols: Vec<String>,
    /// What is wanted of them: trades, candles:1m.
    #[arg(long, value_delimiter = ',', default_value = "candles:1m")]
    channels: Vec<Channel>,
    /// Where it begins: 2026-11-01, or 2026-11-01T12:00:00Z.
    #[arg(long, value_parser = time)]
    from: Timestamp,
    /// Where it ends (that moment is not in it).
    #[arg(long, value_parser = time)]
    to: Timestamp,
    #[arg(long, default_value = "data/backfill")]
    folder: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Parquet)]
    format: Format,
    #[command(flatten)]
    address: Address,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Parquet,
    Jsonl,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    whole.parse().map_err(|error| format!("{error}"))
}

#[tokio::main]
async fn main() -> Outcome {
    let mut options = Options::parse();
    if options.symbols.is_empty() {
        options.symbols = options.venue.symbols().map(str::to_owned).to_vec();
    }
    let mut running = pipeline(&options)?.start();
    let mut progress = Progress::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let summary = loop {
        tokio::select! {
            summary = running.finished() => break summary?,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                eprintln!("stopping: what has been read is written first");
                running.stop();
            }
            _ = ticks.tick() => progress.show(&running.stats()),
        }
    };
    progress.clear();

    let stats = summary.stats;
    let rows: u64 = stats.sinks.iter().map(|sink| sink.rows).sum();
    let done = stats
        .progress
        .is_none_or(|progress| Some(progress.done) == progress.total);
    let more = if done {
        "that is all"
    } else {
        "the same command goes on from here"
    };
    println!(
        "{rows} rows in {:.1} s, in {}: {more}",
        stats.elapsed.as_secs_f64(),
        options.folder.display()
    );
    for (kind, rows) in &stats.total().written {
        println!("  {kind}: {rows}");
    }
    if stats.finished_before > 0 {
        println!("{} streams had been finished by an earlier run", stats.finished_before);
    }
    Ok(())
}

/// A file sink publishes its files and the position of their lane in one step. So a killed run loses and doubles nothing.
fn pipeline(options: &Options) -> qicore::Result<Pipeline> {
    let history = options
        .venue
        .source()
        .symbols(&options.symbols)?
        .channels(options.channels.iter().copied())
        .from(options.from)
        .to(options.to);
    let pipeline = Pipeline::builder(format!("backfill-{}", options.venue))
        .source(options.address.of(history))
        .transform(Validate::default())
        .dead_letters(options.folder.join("dead-letters.jsonl"));
    match options.format {
        Format::Parquet => pipeline
            .sink(Parquet::new(&options.folder).rotate_after(AT_RISK))
            .build(),
        Format::Jsonl => pipeline.sink(Jsonl::new(&options.folder).rotate_after(AT_RISK)).build(),
    }
}

/// A bar on standard error, where that is a terminal.
struct Progress {
    bar: ProgressBar,
    /// The bar knows how much there is to do.
    measured: bool,
}

impl Progress {
    fn new() -> Self {
        let bar = ProgressBar::hidden();
        Self { bar, measured: false }
    }

    fn show(&mut self, stats: &Stats) {
        let Some((progress, total)) = stats.progress.and_then(|progress| Some((progress, progress.total?))) else {
            return;
        };
        if !self.measured {
            self.measured = true;
            self.bar.set_prefix(progress.unit);
            self.bar.set_length(total);
            // What an earlier run has done says nothing of how fast this one is.
            self.bar.set_position(progress.done);
            self.bar.reset_eta();
            let template = "{elapsed} [{bar:30}] {percent} % of {human_len} {prefix}, {eta} left: {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let events = stats.total().events();
        let rate = events as f64 / stats.elapsed.as_secs_f64().max(0.001);
        self.bar.set_position(progress.done);
        self.bar.set_message(format!("{events} events, {rate:.0}/s"));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
