//! Candles of a venue as they happen: the bars before, from its history, and the open one, which changes in place.
//!
//! ```sh
//! cargo run --example live_candles -- kraken BTC/USD ETH/USD --timeframe 1m
//!
//! # Without the network: a local venue, which prints its addresses.
//! cargo run -p qicore-localvenue -- --venue kraken
//! cargo run --example live_candles -- kraken --rest-url http://127.0.0.1:PORT --ws-url ws://127.0.0.1:PORT --for 10s
//! ```
//! Ctrl-C ends it. Where standard output is no terminal, the table is printed once, at the end.

mod venues;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser;
use comfy_table::{Table, presets};
use qicore::prelude::*;
use qicore::transform::Validate;
use venues::{Address, Outcome, Runs, Screen, Venue};

/// Candles of a venue as they happen.
#[derive(Parser)]
struct Options {
    venue: Venue,
    /// Instruments, such as BTC/USD; by default what everybody trades there.
    symbols: Vec<String>,
    #[arg(long, default_value = "1m")]
    timeframe: Timeframe,
    /// How many bars of each instrument are shown.
    #[arg(long, default_value_t = 5)]
    bars: u32,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    runs: Runs,
}

#[tokio::main]
async fn main() -> Outcome {
    let mut options = Options::parse();
    if options.symbols.is_empty() {
        options.symbols = options.venue.symbols().map(str::to_owned).to_vec();
    }
    let events = Memory::new();
    let mut running = Pipeline::builder("live-candles")
        .source(source(&options)?)
        .transform(Validate::default())
        .sink(events.clone())
        .build()?
        .start();

    let (mut screen, mut shown) = (Screen::new(), Shown::default());
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let over = options.runs.over();
    tokio::pin!(over);
    loop {
        tokio::select! {
            // A live pipeline ends by itself only where it fails.
            ended = running.finished() => return Ok(ended.map(drop)?),
            ended = &mut over => { ended?; break }
            _ = ticks.tick() => {
                shown.take(events.take(), options.bars);
                screen.show(shown.table().to_string())?;
            }
        }
    }
    screen.end()?;
    running.stop();
    running.wait().await?;
    Ok(())
}

/// History from some bars ago on, joined with what is live.
fn source(options: &Options) -> qicore::Result<Market> {
    let timeframe = options.timeframe;
    let mut from = timeframe.floor(Timestamp::now());
    for _ in 1..options.bars {
        from = timeframe.previous(from);
    }
    let market = options
        .venue
        .source()
        .symbols(&options.symbols)?
        .channels([Channel::Candles(timeframe)])
        .from(from)
        .open_candles(true);
    Ok(options.address.of(market))
}

/// The last bars of each symbol, by the time at which they opened.
#[derive(Default)]
struct Shown {
    bars: BTreeMap<String, BTreeMap<Timestamp, qicore::Candle>>,
    gaps: u64,
}

impl Shown {
    fn take(&mut self, events: Vec<Event>, most: u32) {
        for event in events {
            match event.data {
                Data::Candle(candle) => {
                    let bars = self.bars.entry(event.symbol.to_string()).or_default();
                    // The same bar again: it has changed, or it is closed now.
                    bars.insert(event.timestamp, candle);
                    while bars.len() > most as usize {
                        bars.pop_first();
                    }
                }
                Data::Gap(_) => self.gaps += 1,
                _ => {}
            }
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["symbol", "opened", "open", "high", "low", "close", "volume", ""]);
        for (symbol, bars) in &self.bars {
            for (opened, bar) in bars {
                let numbers =
                    [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|number| number.normalize().to_string());
                let state = if bar.closed { "" } else { "open" };
                let row = [symbol.clone(), opened.to_string()].into_iter().chain(numbers);
                table.add_row(row.chain([state.to_owned()]));
            }
        }
        if self.gaps > 0 {
            table.add_row([format!("{} gaps", self.gaps)]);
        }
        table
    }
}
