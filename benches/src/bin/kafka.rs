//! Prints how fast the Kafka sink and source are on a real broker, against bare loops around librdkafka with the same
//! settings, and what a topic before a store costs, a line each: `RATIO name value (ours X unit, reference Y unit)`. The
//! servers are named by `QICORE_KAFKA_BROKERS`, `QICORE_POSTGRES_URL` and `QICORE_CLICKHOUSE_URL`.
//!
//! Arguments are names, or the beginnings of names. Without any, everything is measured.

use std::io::Write;

use qicore::prelude::*;
use qicore_benches::kafka::{self, Bench, Chain, PARTITIONS, Ready, Topic};
use qicore_benches::ratio::{Sample, measure};
use qicore_benches::rows::{self, deliveries, events};
use qicore_benches::{Result, clickhouse, latency, pipelines, timescale};
use tokio::runtime::Runtime;

/// Rows of a sample.
const ROWS: u64 = 400_000;
/// So many times as many, where a pipeline's start and end would count.
const LONG: u64 = 5;
/// Rows of a delivery: what the sink asks for.
const TOGETHER: usize = 50_000;
const ROUNDS: usize = 5;
/// What is replayed as it was recorded.
const SESSION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/BINANCE.jsonl.zst");

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [worker, brokers, group, topic] = wanted.as_slice()
        && worker == "worker"
    {
        return kafka::work(brokers, group, topic);
    }
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|start| name.starts_with(start.as_str()));
    let kafka = Bench::new(server("QICORE_KAFKA_BROKERS")?)?;
    let folder = tempfile::tempdir()?;
    let cases = Cases {
        kafka: &kafka,
        runtime: pipelines::cores(2)?,
        wanted: &wanted,
    };
    for (name, event_type) in [("trades", EventType::Trade), ("candles", EventType::Candle)] {
        let events = events(event_type, ROWS)?;
        cases.sink(name, event_type, &events)?;
        cases.source(name, event_type, &events)?;
    }
    cases.transactions()?;
    if of_store(&wanted, "timescale") {
        let bench = timescale::Bench::new(server("QICORE_POSTGRES_URL")?, folder.path())?;
        let table = qicore::stores::timescale::Table::of(EventType::Trade).ok_or("no such table")?;
        cases.store(
            "timescale",
            (4 * ROWS, 20_000),
            || bench.empty(table),
            || bench.sink(PARTITIONS as u32),
        )?;
    }
    if of_store(&wanted, "clickhouse") {
        let bench = clickhouse::Bench::new(server("QICORE_CLICKHOUSE_URL")?, folder.path())?;
        let table = qicore::stores::clickhouse::Table::of(EventType::Trade).ok_or("no such table")?;
        let rows = (2 * ROWS, 100_000);
        cases.store(
            "clickhouse",
            rows,
            || bench.empty(table),
            || bench.sink(PARTITIONS as u32),
        )?;
    }
    cases.workers()
}

/// Whether one of the cases of a store is wanted.
fn of_store(wanted: &dyn Fn(&str) -> bool, store: &str) -> bool {
    let names = ["", "-source"].map(|variant| format!("kafka/{store}{variant}"));
    let latencies = ["", "-replay", "-platform"].map(|variant| format!("kafka/latency-{store}{variant}"));
    names.iter().chain(&latencies).any(|name| wanted(name))
}

fn server(variable: &str) -> Result<String> {
    std::env::var(variable).map_err(|_| format!("{variable} names no server").into())
}

fn say(line: impl std::fmt::Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

struct Cases<'a> {
    kafka: &'a Bench,
    runtime: Runtime,
    wanted: &'a dyn Fn(&str) -> bool,
}

impl Cases<'_> {
    fn measure(&self, name: &str, rows: u64, ours: Sample<'_>, reference: Sample<'_>) -> Result<()> {
        let work = (rows as f64, rows as f64);
        say(measure(name, "rows/s", ROUNDS, work, ours, reference)?)
    }

    /// One lane, in transactions and without, against a producer of ready-made messages.
    fn sink(&self, name: &str, event_type: EventType, events: &[Event]) -> Result<()> {
        for (variant, transactions) in [("transactions", true), ("plain", false)] {
            let name = format!("kafka/sink-{name}-{variant}");
            if !(self.wanted)(&name) {
                continue;
            }
            let ready = Ready::of(events)?;
            let lanes = deliveries(events, 1, TOGETHER);
            let ours = &mut || {
                let topic = self.kafka.topic(PARTITIONS)?;
                let took = rows::timed(&self.runtime, topic.sink(transactions), &lanes)?.writing;
                all_there(&topic)?;
                Ok(took)
            };
            let reference = &mut || {
                let topic = self.kafka.topic(PARTITIONS)?;
                let took = kafka::produce(&topic, event_type, &ready, TOGETHER, transactions)?;
                all_there(&topic)?;
                Ok(took)
            };
            self.measure(&name, ROWS, ours, reference)?;
        }
        Ok(())
    }

    /// A pipeline that throws everything away, against a loop that decodes everything: by serde, and as the source does.
    fn source(&self, name: &str, event_type: EventType, events: &[Event]) -> Result<()> {
        let (by_serde, directly) = (format!("kafka/source-{name}"), format!("kafka/source-{name}-direct"));
        let references: [(_, kafka::Decode); 2] = [(by_serde, kafka::by_serde), (directly, kafka::directly)];
        if !references.iter().any(|(name, _)| (self.wanted)(name)) {
            return Ok(());
        }
        // Long enough that the start and the end of a pipeline are a small part.
        let (topic, rows) = (self.filled(event_type, events)?, LONG * ROWS);
        for _ in 1..LONG {
            topic.fill(event_type, events)?;
        }
        for (name, decode) in references.iter().filter(|(name, _)| (self.wanted)(name)) {
            let ours = &mut || kafka::run(&self.runtime, &topic, Chain::None, Discard::new(), rows);
            self.measure(name, rows, ours, &mut || {
                kafka::consume(&topic, PARTITIONS, rows, *decode)
            })?;
        }
        Ok(())
    }

    /// A new topic with these events.
    fn filled(&self, event_type: EventType, events: &[Event]) -> Result<Topic<'_>> {
        let topic = self.kafka.topic(PARTITIONS)?;
        topic.fill(event_type, events)?;
        Ok(topic)
    }

    /// From topic to topic through `validate` and `dedupe`: with transactions, against without.
    fn transactions(&self) -> Result<()> {
        let name = "kafka/transactions-over-plain";
        if !(self.wanted)(name) {
            return Ok(());
        }
        let from = self.filled(EventType::Candle, &events(EventType::Candle, ROWS)?)?;
        let run = |transactions| {
            let to = self.kafka.topic(PARTITIONS)?;
            kafka::run(&self.runtime, &from, Chain::Checks, to.sink(transactions), ROWS)
        };
        self.measure(name, ROWS, &mut || run(true), &mut || run(false))
    }

    /// From a topic to a store, against the store's sink that is fed from memory, and against a bare loop that does no more
    /// than read the topic and decode it.
    fn store<S: Sink + 'static>(
        &self,
        store: &str,
        (rows, together): (u64, usize),
        empty: impl Fn() -> Result<()>,
        sink: impl Fn() -> S,
    ) -> Result<()> {
        let (name, source) = (format!("kafka/{store}"), format!("kafka/{store}-source"));
        let trades = events(EventType::Trade, rows)?;
        if (self.wanted)(&name) || (self.wanted)(&source) {
            let topic = self.filled(EventType::Trade, &trades)?;
            let lanes = deliveries(&trades, PARTITIONS as u64, together);
            let ours = || {
                empty()?;
                kafka::run(&self.runtime, &topic, Chain::None, sink(), rows)
            };
            let from_memory = &mut || {
                empty()?;
                rows::write(&self.runtime, sink(), &lanes)
            };
            if (self.wanted)(&name) {
                self.measure(&name, rows, &mut || ours(), from_memory)?;
            }
            if (self.wanted)(&source) {
                let reference = &mut || kafka::consume(&topic, PARTITIONS, rows, kafka::directly);
                self.measure(&source, rows, &mut || ours(), reference)?;
            }
        }
        self.latency(&format!("kafka/latency-{store}"), &empty, &sink)
    }

    /// From receipt to the store: through a topic, at a rate and as a session was recorded, and through the whole platform, with
    /// the validation service between two topics.
    fn latency<S: Sink + 'static>(
        &self,
        name: &str,
        empty: &impl Fn() -> Result<()>,
        sink: &impl Fn() -> S,
    ) -> Result<()> {
        let (replay, platform) = (format!("{name}-replay"), format!("{name}-platform"));
        let paced = || events(EventType::Trade, 50_000).map(latency::paced);
        let ingest = |topic: &Topic<'_>| Pipeline::builder("latency-ingest").sink(topic.sink(true));
        if (self.wanted)(name) {
            empty()?;
            let topic = self.kafka.topic(PARTITIONS)?;
            let services = vec![ingest(&topic).source(paced()?)];
            say(latency::line_through(
                name,
                &self.runtime,
                services,
                topic.group(),
                sink(),
            )?)?;
        }
        if (self.wanted)(&replay) {
            empty()?;
            let topic = self.kafka.topic(PARTITIONS)?;
            let session = latency::replayed(SESSION);
            let services = vec![ingest(&topic).source(session)];
            say(latency::line_through(
                &replay,
                &self.runtime,
                services,
                topic.group(),
                sink(),
            )?)?;
        }
        if (self.wanted)(&platform) {
            empty()?;
            let (raw, clean) = (self.kafka.topic(PARTITIONS)?, self.kafka.topic(PARTITIONS)?);
            let validation = Pipeline::builder("latency-validation")
                .source(raw.group())
                .transform(Validate::default())
                .transform(Dedupe::new(DedupeConfig::default())?)
                .transform(Enrich::new(EnrichConfig::default())?)
                .sink(clean.sink(true));
            let services = vec![ingest(&raw).source(paced()?), validation];
            say(latency::line_through(
                &platform,
                &self.runtime,
                services,
                clean.group(),
                sink(),
            )?)?;
        }
        Ok(())
    }

    /// Two processes, each on a core of its own, over one: the broker works on both cores.
    fn workers(&self) -> Result<()> {
        let name = "kafka/workers-two-over-one";
        if !(self.wanted)(name) {
            return Ok(());
        }
        let rows = 5 * ROWS;
        let topic = self.kafka.topic(2)?;
        let trades = Ready::of(&events(EventType::Trade, rows)?)?;
        kafka::produce(&topic, EventType::Trade, &trades, TOGETHER, false)?;
        drop(trades);
        let work = (rows as f64, rows as f64);
        let run = |count| kafka::workers(count, &topic, rows);
        say(measure(name, "rows/s", 3, work, &mut || run(2), &mut || run(1))?)
    }
}

/// Every row is in the topic; so are the marks of transactions.
fn all_there(topic: &Topic<'_>) -> Result<()> {
    match topic.messages(PARTITIONS)? {
        found if found >= ROWS => Ok(()),
        found => Err(format!("{found} of {ROWS} rows are in {}", topic.name()).into()),
    }
}
