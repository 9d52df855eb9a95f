//! Prints side-by-side ratios, a line each: `RATIO name value (ours X unit, reference Y unit)`, and what decoding a
//! trade allocates beyond the batch: `ALLOC name value per event (…)`.
//!
//! Arguments are names, or the beginnings of names. Without any, everything is measured.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use qicore_benches::Result;
use qicore_benches::alloc::Counting;
use qicore_benches::decode::{KindDecode, KrakenSession};
use qicore_benches::files::{self, Arrays};
use qicore_benches::kinds::KINDS;
use qicore_benches::pipelines::{self, Chain, Ids};
use qicore_benches::ratio::{Ratio, measure, passes_in, timed};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// A sample of a decoder is long against the scheduler's time slices, and short against a disturbance.
const SAMPLE: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = Wanted(wanted);
    decode(&wanted)?;
    kraken(&wanted)?;
    pipeline(&wanted)?;
    lanes(&wanted)?;
    files(&wanted)
}

/// What is to be measured.
struct Wanted(Vec<String>);

impl Wanted {
    fn is(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|start| name.starts_with(start.as_str()))
    }
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn decode(wanted: &Wanted) -> Result<()> {
    for kind in KINDS {
        let name = format!("decode/{}", kind.path());
        if !wanted.is(&name) {
            continue;
        }
        say(one_kind(&name, &mut KindDecode::new(kind)?)?)?;
        if ["trade", "aggTrade", "market_trades-update"].contains(&kind.name) {
            say(allocations(&name, &mut KindDecode::new(kind)?)?)?;
        }
    }
    Ok(())
}

fn one_kind(name: &str, workload: &mut KindDecode) -> Result<Ratio> {
    let passes = passes_in(SAMPLE, || workload.reference())?;
    let work = (passes * workload.messages()) as f64;
    let workload = std::cell::RefCell::new(workload);
    measure(
        name,
        "messages/s",
        21,
        (work, work),
        &mut || timed(passes, || workload.borrow_mut().ours()),
        &mut || timed(passes, || workload.borrow().reference()),
    )
}

fn allocations(name: &str, workload: &mut KindDecode) -> Result<String> {
    workload.ours()?;
    let (done, allocated) = ALLOCATOR.during(|| workload.ours());
    done?;
    let (messages, events) = (workload.messages(), workload.events());
    let per_event = allocated.calls as f64 / events.max(1) as f64;
    Ok(format!(
        "ALLOC {name} {per_event:.2} per event ({} allocations of {} bytes, {messages} messages, {events} events)",
        allocated.calls, allocated.bytes
    ))
}

fn kraken(wanted: &Wanted) -> Result<()> {
    let names = [("session/kraken-verified", true), ("session/kraken-unverified", false)];
    for (name, verify) in names.into_iter().filter(|(name, _)| wanted.is(name)) {
        let session = KrakenSession::new()?;
        session.verified()?;
        let passes = passes_in(SAMPLE, || session.reference())?;
        let work = (passes * session.messages) as f64;
        say(measure(
            name,
            "messages/s",
            21,
            (work, work),
            &mut || timed(passes, || session.ours(verify).map(drop)),
            &mut || timed(passes, || session.reference()),
        )?)?;
    }
    Ok(())
}

/// Against the speed that the project promises, not against a workload.
fn pipeline(wanted: &Wanted) -> Result<()> {
    const EVENTS: u64 = 1_000_000;
    let rows = [
        ("pipeline/discard", Chain::None, Ids::BySymbol, 5e6),
        ("pipeline/chain", Chain::Full, Ids::BySymbol, 1.5e6),
        ("pipeline/chain-venue-ids", Chain::Full, Ids::ByVenue, 1.5e6),
    ];
    for (name, chain, ids, promised) in rows.into_iter().filter(|row| wanted.is(row.0)) {
        let (source, runtime) = (
            pipelines::source(&pipelines::trades(1, EVENTS, ids)?),
            pipelines::one_core()?,
        );
        let reference = Duration::from_secs_f64(EVENTS as f64 / promised);
        say(measure(
            name,
            "events/s",
            9,
            (EVENTS as f64, EVENTS as f64),
            &mut || pipelines::run(&runtime, source.clone(), chain, EVENTS),
            &mut || Ok(reference),
        )?)?;
    }
    Ok(())
}

/// Two lanes on two cores against one lane on one core, as many events a lane.
fn lanes(wanted: &Wanted) -> Result<()> {
    const EVENTS: u64 = 1_000_000;
    let rows = [("lanes/discard", Chain::None), ("lanes/chain", Chain::Full)];
    for (name, chain) in rows.into_iter().filter(|row| wanted.is(row.0)) {
        let trades = pipelines::trades(2, EVENTS, Ids::BySymbol)?;
        let (two, one) = (pipelines::source(&trades), pipelines::source(&trades[..1]));
        let (on_two, on_one) = (pipelines::cores(2)?, pipelines::cores(1)?);
        say(measure(
            name,
            "events/s",
            9,
            (2.0 * EVENTS as f64, EVENTS as f64),
            &mut || pipelines::run(&on_two, two.clone(), chain, 2 * EVENTS),
            &mut || pipelines::run(&on_one, one.clone(), chain, EVENTS),
        )?)?;
    }
    Ok(())
}

fn files(wanted: &Wanted) -> Result<()> {
    const EVENTS: u64 = 1_000_000;
    let (jsonl, parquet) = ("sink/jsonl", "sink/parquet");
    if ![jsonl, parquet].into_iter().any(|name| wanted.is(name)) {
        return Ok(());
    }
    let temp = tempfile::tempdir()?;
    let (folder, file) = (temp.path().join("sink"), temp.path().join("plain"));
    let (folder, file): (&Path, &Path) = (&folder, &file);
    let runtime = pipelines::one_core()?;
    let deliveries = files::deliveries(&pipelines::trades(1, EVENTS, Ids::BySymbol)?[0]);
    let work = (EVENTS as f64, EVENTS as f64);
    if wanted.is(jsonl) {
        files::jsonl(&runtime, folder, &deliveries)?;
        files::plain_json(file, &deliveries)?;
        if std::fs::read(files::published(folder)?)? != std::fs::read(file)? {
            return Err("the sink and serde_json have written different lines".into());
        }
        say(measure(
            jsonl,
            "events/s",
            9,
            work,
            &mut || files::jsonl(&runtime, folder, &deliveries),
            &mut || files::plain_json(file, &deliveries),
        )?)?;
    }
    if wanted.is(parquet) {
        files::parquet(&runtime, folder, &deliveries)?;
        let arrays = Arrays::of(folder)?;
        say(measure(
            parquet,
            "events/s",
            9,
            work,
            &mut || files::parquet(&runtime, folder, &deliveries),
            &mut || arrays.write(file),
        )?)?;
    }
    Ok(())
}
