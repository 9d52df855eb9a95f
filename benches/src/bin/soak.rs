//! Generated events through the usual chain into three sinks, one of them slow: does memory stay flat?
//!
//! `soak [EVENTS]` prints the resident memory at every tenth, and last
//! `SOAK events=… first_rss=… max_rss=… last_rss=… MiB`, where the first is that of the first tenth.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use qicore::prelude::*;
use qicore::sources::generator::Generator;
use qicore::testkit::{Fault, FaultySink};
use qicore_benches::Result;
use qicore_benches::process::resident;

const EVENTS: u64 = 10_000_000;
/// Millions of events wait before a lane when the generator ends, since it names 256 of them in a frame.
const DRAIN: Duration = Duration::from_secs(600);
/// What the slow sink takes for a delivery of 10,000 rows: 40,000 rows a second a lane, far less than a lane has.
const PAUSE: Duration = Duration::from_millis(250);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let events = std::env::args().nth(1).map_or(Ok(EVENTS), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let slow = FaultySink::new(Arc::new(Discard::new()), |_| Some(Fault::Delay(PAUSE)));
    let pipeline = Pipeline::builder("soak")
        .source(
            Generator::new(11)
                .symbols(500)
                .lanes(2)
                .quotes(0.2)
                .duplicates(0.01)
                .late(0.001)
                .events(events),
        )
        .transform(Validate::default())
        .transform(Dedupe::new(DedupeConfig::default())?)
        .transform(Candles::new(CandlesConfig::new([Timeframe::M1]))?)
        .sink(Discard::new())
        .sink_with(Arc::new(slow), SinkOptions::default().name("slow"))
        .sink(Jsonl::new(folder.path()))
        .options(Options::default().drain_deadline(DRAIN))
        .build()?;
    let mut run = pipeline.start();
    let mut resident = Vec::new();
    let summary = loop {
        tokio::select! {
            summary = run.finished() => break summary?,
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
        let read = run.stats().total().events();
        let tenths = resident.len() as u64 + 1;
        if tenths < 10 && read * 10 >= events * tenths {
            resident.push(note(read, events)?);
        }
    };
    let read = summary.stats.total().events();
    resident.push(note(read, events)?);
    let (first, last) = (resident[0], resident[resident.len() - 1]);
    let most = resident.iter().copied().fold(0.0, f64::max);
    for sink in &summary.stats.sinks {
        writeln!(
            std::io::stdout(),
            "{}: {} rows in {} deliveries",
            sink.name,
            sink.rows,
            sink.deliveries
        )?;
    }
    let seconds = summary.stats.elapsed.as_secs_f64();
    writeln!(
        std::io::stdout(),
        "SOAK events={read} seconds={seconds:.0} first_rss={first:.1} max_rss={most:.1} last_rss={last:.1} MiB"
    )?;
    Ok(())
}

fn note(read: u64, events: u64) -> Result<f64> {
    let resident = resident()?;
    writeln!(
        std::io::stdout(),
        "{:3} % {resident:.1} MiB",
        read * 100 / events.max(1)
    )?;
    Ok(resident)
}
