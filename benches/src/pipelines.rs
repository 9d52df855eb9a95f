//! Whole pipelines, fed from memory.

use std::time::{Duration, Instant};

use qicore::prelude::*;
use qicore::sources::generator::Generator;
use qicore::testkit::Scripted;
use tokio::runtime::{Builder, Runtime};

use crate::Result;

/// Symbols of a lane.
const SYMBOLS: u32 = 500;
/// Events of a batch: as many as a source may read at once by default.
const BATCH: usize = 2048;

/// What stands between source and sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Nothing.
    None,
    /// `validate`, `dedupe`, and one-minute `candles`.
    Full,
}

/// How trades are numbered. Both are in use; they cost the duplicate filter different amounts of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Each symbol's by itself: neighbours have neighbouring ids.
    BySymbol,
    /// All of the venue's together.
    ByVenue,
}

/// Trades of 500 symbols a lane, all unique, one a millisecond.
pub fn trades(lanes: u32, per_lane: u64, ids: Ids) -> Result<Vec<Vec<Event>>> {
    let market = Generator::new(7)
        .symbols(SYMBOLS * lanes)
        .lanes(lanes)
        .events(per_lane * u64::from(lanes));
    let lane = |number| {
        let mut events: Vec<Event> = market.lane_events(number)?.collect();
        for (at, event) in (1_u64..).zip(&mut events) {
            if let (Data::Trade(trade), Ids::ByVenue) = (&mut event.data, ids) {
                trade.id = Some((at * u64::from(lanes) + u64::from(number)).into());
            }
        }
        Ok(events)
    };
    (0..lanes).map(lane).collect()
}

/// A source of these events, already in memory.
pub fn source(lanes: &[Vec<Event>]) -> Scripted {
    let names: Vec<_> = (0..lanes.len()).map(|number| format!("lane/{number}")).collect();
    Scripted::lanes(names.iter().map(String::as_str).zip(lanes.iter().cloned()), BATCH)
}

/// A runtime on one thread: what a pipeline does on it, it does on one core.
pub fn one_core() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A runtime with so many workers.
pub fn cores(workers: usize) -> Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?)
}

/// Runs a pipeline into a sink that does nothing. The time from its start to its end.
///
/// # Errors
/// Those of the pipeline, and if the sink has not seen every event.
pub fn run(runtime: &Runtime, source: Scripted, chain: Chain, events: u64) -> Result<Duration> {
    let sink = Discard::new();
    let mut builder = Pipeline::builder("bench").source(source).sink(sink.clone());
    if chain == Chain::Full {
        builder = builder
            .transform(Validate::default())
            .transform(Dedupe::new(DedupeConfig::default())?)
            .transform(Candles::new(CandlesConfig::new([Timeframe::M1]))?);
    }
    let pipeline = builder.build()?;
    let start = Instant::now();
    runtime.block_on(pipeline.run())?;
    let took = start.elapsed();
    let seen = sink.events();
    if seen < events || chain == Chain::None && seen > events {
        return Err(format!("{seen} of {events} events came to the sink").into());
    }
    Ok(took)
}
