//! Tables: filled before the pipeline reads its own source, and kept up to date while it runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use qicore::prelude::*;
use qicore::sinks::Memory;
use qicore::testkit::{Fault, FaultySink, FaultySource, Scripted, trades};
use qicore::{
    Batch, BatchLimit, DeadLetter, Decoded, Decoder, Error, ErrorKind, Frame, Instrument, InstrumentKind, LaneEnd,
    Position, Progress, Resume, RetryAdvice, RetryPolicy, SourceCapabilities, registry,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A description of the instrument that the test kit's trades are of.
fn described(active: bool, at: i64) -> Event {
    let [trade] = &trades(0..1)[..] else {
        panic!("one trade")
    };
    let instrument = Instrument {
        native: "testusd".parse().unwrap(),
        base: "TEST".parse().unwrap(),
        quote: "USD".parse().unwrap(),
        kind: InstrumentKind::Spot,
        active,
        price_step: None,
        size_step: None,
    };
    Event::new(
        trade.exchange,
        trade.symbol,
        Timestamp::from_nanos(at),
        trade.source,
        instrument,
    )
}

fn enrich(table: &str) -> Enrich {
    Enrich::new(EnrichConfig::default().instruments(table)).unwrap()
}

fn quick() -> Options {
    let pauses = (Duration::from_millis(1), Duration::from_millis(2));
    Options::default().retry(RetryPolicy::default().retries(3).pauses(pauses.0, pauses.1))
}

fn reasons(event: &Event) -> Vec<&'static str> {
    let enrichment = event.enrichment.as_ref().unwrap();
    enrichment.reasons.iter().map(|reason| reason.as_str()).collect()
}

/// What a source that follows is told to do.
enum Say {
    Events(Vec<Event>),
    Fail(RetryAdvice),
}

/// A source that goes on for as long as it is told to, as a topic does.
struct Following {
    said: UnboundedReceiver<Say>,
    state: Arc<State>,
    offset: u64,
}

#[derive(Default)]
struct State {
    open: AtomicBool,
    /// It has been opened and closed again.
    closed: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

fn following(total: u64) -> (Following, UnboundedSender<Say>, Arc<State>) {
    let (say, said) = unbounded_channel();
    let state = Arc::new(State::default());
    state.total.store(total, SeqCst);
    let source = Following {
        said,
        state: Arc::clone(&state),
        offset: 0,
    };
    (source, say, state)
}

#[async_trait]
impl Source for Following {
    fn name(&self) -> &str {
        "following"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default()
    }

    async fn open(&mut self, _resume: Arc<dyn Resume>) -> Result<()> {
        self.state.open.store(true, SeqCst);
        Ok(())
    }

    async fn next_batch(&mut self, _limit: BatchLimit) -> Result<Option<Batch>> {
        match self.said.recv().await {
            None => Ok(None),
            Some(Say::Fail(advice)) => Err(Error::new(ErrorKind::Unavailable, "following", "down").with_retry(advice)),
            Some(Say::Events(events)) => {
                self.offset += events.len() as u64;
                self.state.done.fetch_add(events.len() as u64, SeqCst);
                let position = Position::at(self.offset);
                Ok(Some(Batch::events(Lane::new("topic/0"), events, position)))
            }
        }
    }

    fn progress(&self) -> Option<Progress> {
        Some(Progress {
            done: self.state.done.load(SeqCst),
            total: Some(self.state.total.load(SeqCst)),
            unit: "messages",
        })
    }

    async fn close(&mut self) -> Result<()> {
        self.state.closed.store(true, SeqCst);
        Ok(())
    }
}

/// Waits for what other tasks do.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("{what} does not come about");
}

#[tokio::test]
async fn a_table_that_ends_is_whole_before_the_first_event() {
    let memory = Memory::new();
    let mut descriptions = vec![described(false, 2), described(true, 1)];
    descriptions.extend(trades(0..1));
    let pipeline = Pipeline::builder("test")
        .table("instruments", Scripted::events("table", descriptions, 1))
        .source(Scripted::events("lane", trades(0..100), 10))
        .transform(enrich("instruments"))
        .sink(memory.clone());
    let stats = pipeline.build().unwrap().run().await.unwrap().stats;
    let events = memory.events();
    assert_eq!(events.len(), 100);
    for event in &events {
        assert_eq!(reasons(event), ["inactive_instrument"], "the newest description counts");
    }
    let [table] = &stats.tables[..] else {
        panic!("one table")
    };
    assert_eq!(
        (table.name.as_str(), table.instruments, table.caught_up),
        ("instruments", 1, true)
    );
    assert_eq!((table.updates, table.ignored, table.failures), (2, 1, 0));
}

#[tokio::test]
async fn a_table_that_goes_on_is_waited_for_and_followed() {
    let (table, say, state) = following(2);
    let (main, feed, main_state) = following(0);
    let memory = Memory::new();
    let builder = Pipeline::builder("test").table("instruments", table).source(main);
    let builder = builder.transform(enrich("instruments")).sink(memory.clone());
    let handle = builder.options(quick()).build().unwrap().start();

    say.send(Say::Events(vec![described(true, 1)])).unwrap();
    until("the first description", || handle.stats().tables[0].updates == 1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!main_state.open.load(SeqCst) && !handle.stats().tables[0].caught_up);
    // The last message is one of the broker's own: no batch comes of it.
    state.done.store(2, SeqCst);
    until("the main source", || main_state.open.load(SeqCst)).await;
    assert!(handle.stats().tables[0].caught_up);

    feed.send(Say::Events(trades(0..10))).unwrap();
    until("the first rows", || memory.len() == 10).await;
    say.send(Say::Events(vec![described(false, 2)])).unwrap();
    until("the update", || handle.stats().tables[0].updates == 2).await;
    feed.send(Say::Events(trades(10..20))).unwrap();
    until("the other rows", || memory.len() == 20).await;
    let events = memory.events();
    assert!(events[..10].iter().all(|event| reasons(event).is_empty()));
    assert!(
        events[10..]
            .iter()
            .all(|event| reasons(event) == ["inactive_instrument"])
    );

    assert!(!state.closed.load(SeqCst));
    drop(feed);
    handle.wait().await.unwrap();
    assert!(state.closed.load(SeqCst), "the table does not keep the pipeline going");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_table() {
    let (table, say, state) = following(5);
    let (main, _feed, main_state) = following(0);
    let builder = Pipeline::builder("test").table("instruments", table).source(main);
    let handle = builder.sink(Memory::new()).build().unwrap().start();
    say.send(Say::Events(vec![described(true, 1)])).unwrap();
    until("the first description", || handle.stats().tables[0].updates == 1).await;
    handle.stop();
    handle.wait().await.unwrap();
    assert!(!main_state.open.load(SeqCst) && state.closed.load(SeqCst));
}

#[tokio::test]
async fn a_table_that_cannot_be_read_fails_the_run_in_the_end() {
    for (failures, advice, passes) in [
        (3, RetryAdvice::Backoff, true),
        (4, RetryAdvice::Backoff, false),
        (1, RetryAdvice::Never, false),
    ] {
        let inner = Box::new(Scripted::events("table", vec![described(true, 1)], 1));
        let fails = move |call| (call < failures).then_some(Fault::Fail(advice));
        let table = FaultySource::new(inner, fails);
        let memory = Memory::new();
        let pipeline = Pipeline::builder("test")
            .table("instruments", table)
            .source(Scripted::events("lane", trades(0..10), 10))
            .transform(enrich("instruments"))
            .sink(memory.clone())
            .options(quick());
        match pipeline.build().unwrap().run().await {
            Ok(summary) => assert_eq!((passes, summary.stats.tables[0].failures), (true, failures)),
            Err(error) => {
                assert!(!passes && memory.is_empty());
                assert!(error.to_string().contains("table=instruments"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_table_that_was_read_may_fail_for_as_long_as_it_may_come_back() {
    let (table, say, state) = following(0);
    let (main, feed, _) = following(0);
    let memory = Memory::new();
    let builder = Pipeline::builder("test").table("instruments", table).source(main);
    let builder = builder.transform(enrich("instruments")).sink(memory.clone());
    let handle = builder.options(quick()).build().unwrap().start();
    for advice in [RetryAdvice::Backoff, RetryAdvice::Exhausted].repeat(5) {
        say.send(Say::Fail(advice)).unwrap();
    }
    until("ten failures", || handle.stats().tables[0].failures == 10).await;
    say.send(Say::Events(vec![described(true, 1)])).unwrap();
    until("the description", || handle.stats().tables[0].updates == 1).await;
    feed.send(Say::Events(trades(0..10))).unwrap();
    until("rows", || memory.len() == 10).await;
    assert!(reasons(&memory.events()[9]).is_empty());

    say.send(Say::Fail(RetryAdvice::Never)).unwrap();
    let error = handle.wait().await.unwrap_err();
    assert!(error.to_string().contains("down") && error.to_string().contains("table=instruments"));
    assert!(state.closed.load(SeqCst));
}

#[tokio::test]
async fn each_transform_has_the_table_that_it_names() {
    let memory = Memory::new();
    let strict = EnrichConfig::default()
        .instruments("b")
        .inactive_instrument(qicore::transform::enrich::Action::Reject);
    let letters = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::builder("test")
        .table("b", Scripted::events("table", vec![described(false, 1)], 1))
        .table("a", Scripted::events("table", vec![described(true, 1)], 1))
        .source(Scripted::events("lane", trades(0..10), 10))
        .transform(enrich("a"))
        .transform(Enrich::new(strict).unwrap())
        .sink(memory.clone())
        .dead_letters(letters.path().join("letters.jsonl"));
    let stats = pipeline.build().unwrap().run().await.unwrap().stats;
    assert_eq!(
        stats.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    let counts: Vec<_> = stats.stages.iter().map(|stage| (stage.given, stage.rejected)).collect();
    assert_eq!(counts, [(10, 0), (0, 10)]);
}

#[test]
fn names_of_tables_are_checked_when_a_pipeline_is_built() {
    let table = || Scripted::events("table", vec![described(true, 1)], 1);
    let base = || {
        let source = Scripted::events("lane", trades(0..1), 1);
        Pipeline::builder("test").source(source).sink(Memory::new())
    };
    let told = |builder: qicore::PipelineBuilder| builder.build().unwrap_err().to_string();
    assert!(told(base().transform(enrich("x"))).contains("the pipeline has no tables"));
    let known = told(base().table("instruments", table()).transform(enrich("x")));
    assert!(known.contains("unknown table \"x\"; known: instruments"), "{known}");
    assert!(told(base().table("a", table()).table("a", table())).contains("another table \"a\""));
    assert!(told(base().table(" ", table())).contains("no name"));
}

/// Refuses frames that are no JSON.
struct Lines;

impl Decoder for Lines {
    fn decode(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<Decoded> {
        let read = serde_json::from_slice(&frame.payload);
        out.push(read.map_err(|error| Error::decode("lines", error.to_string()))?);
        Ok(Decoded::Data)
    }
}

fn framed() -> Scripted {
    let good = serde_json::to_vec(&described(true, 1)).unwrap();
    let frames = vec![Frame::new(1, "{nonsense"), Frame::new(2, good)];
    let batch = Batch::frames(Lane::new("table"), frames, Position::at(2)).ending(LaneEnd::Exhausted);
    Scripted::new([batch]).decoder(|_| Box::new(Lines))
}

fn letters(path: &Path) -> Vec<DeadLetter> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_a_table_cannot_read_goes_to_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let (memory, other) = (Memory::new(), Memory::new());
    let builder = |sink: &Memory| {
        Pipeline::builder("test")
            .table("instruments", framed())
            .source(Scripted::events("lane", trades(0..10), 10))
            .transform(enrich("instruments"))
            .sink(sink.clone())
    };
    let pipeline = builder(&memory).dead_letters(&path).build().unwrap();
    let stats = pipeline.run().await.unwrap().stats;
    assert_eq!((stats.tables[0].instruments, stats.tables[0].rejected), (1, 1));
    assert!(reasons(&memory.events()[0]).is_empty());
    let [letter] = &letters(&path)[..] else {
        panic!("one letter")
    };
    assert_eq!(
        (letter.stage.as_str(), letter.source.as_str()),
        ("table:instruments", "scripted")
    );
    assert_eq!((letter.lane.as_str(), letter.offset), ("table", 1));

    let error = builder(&other).build().unwrap().run().await.unwrap_err();
    assert!(error.to_string().contains("no dead letters are set") && other.is_empty());
    let again = builder(&other).build().unwrap();
    let letters = Scripted::events("letters", trades(0..1), 1);
    let error = again.replaying(letters, "table:instruments", path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// The time of validation is another one in each run; a letter is known by the same id all the same.
#[tokio::test]
async fn a_letter_has_one_id_whenever_its_row_was_validated() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (run, now) in [("one", 1), ("two", 2)] {
        let path = folder.path().join(run);
        let sink = FaultySink::new(Arc::new(Memory::new()), |_| Some(Fault::RejectRow(3)));
        let enrich = enrich("instruments").with_clock(move || Timestamp::from_nanos(now));
        let pipeline = Pipeline::builder("test")
            .table("instruments", Scripted::events("table", vec![described(true, 1)], 1))
            .source(Scripted::events("lane", trades(0..10), 10))
            .transform(enrich)
            .sink(sink)
            .dead_letters(&path);
        pipeline.build().unwrap().run().await.unwrap();
        runs.push(letters(&path).remove(0));
    }
    assert_ne!(runs[0].payload, runs[1].payload);
    assert_eq!(runs[0].id, runs[1].id);
}

/// Letters of events pass the transforms again, with their tables; those of a sink need none.
#[tokio::test]
async fn replayed_letters_have_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let replayed = |stage: &'static str| {
        let memory = Memory::new();
        let pipeline = Pipeline::builder("test")
            .table("instruments", Scripted::events("table", vec![described(false, 1)], 1))
            .source(Scripted::events("lane", trades(0..1), 1))
            .transform(enrich("instruments"))
            .sink(memory.clone());
        let letters = Scripted::events("letters", trades(0..5), 5);
        let again = pipeline
            .build()
            .unwrap()
            .replaying(letters, stage, folder.path().join("again"));
        async move {
            let stats = again.unwrap().run().await.unwrap().stats;
            (stats.tables.len(), memory.events())
        }
    };
    let (tables, events) = replayed("validate").await;
    assert_eq!((tables, reasons(&events[4])), (1, vec!["inactive_instrument"]));
    let (tables, events) = replayed("sink:memory").await;
    assert_eq!((tables, &events[4].enrichment), (0, &None));
}

fn write(path: &Path, events: &[Event]) {
    let lines: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// The validation and enrichment service, from files.
#[tokio::test]
async fn a_file_describes_tables_and_enrich() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let strange = Event {
        symbol: "OTHER/USDT".parse().unwrap(),
        ..trades(5..6).remove(0)
    };
    let mut raw = trades(0..5);
    raw.push(strange);
    write(&folder.join("raw.jsonl"), &raw);
    write(&folder.join("instruments.jsonl"), &[described(true, 1)]);
    let text = format!(
        r#"
name = "validation"
dead_letters = {letters:?}

[source]
type = "replay"
paths = [{raw:?}]

[[table]]
name = "listings"
type = "replay"
paths = [{instruments:?}]

[[transform]]
type = "validate"

[[transform]]
type = "dedupe"

[[transform]]
type = "enrich"
instruments = "listings"
unknown_instrument = "reject"
quote_currencies = {{ USD = "EUR" }}

[[sink]]
type = "jsonl"
path = {out:?}
"#,
        letters = folder.join("letters.jsonl"),
        raw = folder.join("raw.jsonl"),
        instruments = folder.join("instruments.jsonl"),
        out = folder.join("out"),
    );
    let pipeline = Pipeline::from_toml(&text, &registry()).unwrap();
    pipeline.run().await.unwrap();

    let memory = Memory::new();
    let read = Pipeline::builder("read").source(Replay::new([folder.join("out")]));
    read.sink(memory.clone()).build().unwrap().run().await.unwrap();
    let events = memory.events();
    assert_eq!(events.len(), 5);
    let enrichment = events[0].enrichment.as_ref().unwrap();
    assert_eq!(enrichment.native.unwrap().as_str(), "testusd");
    assert_eq!(enrichment.quote_currency.unwrap().as_str(), "EUR");
    assert!(enrichment.validated_at.is_some());
    let [letter] = &letters(&folder.join("letters.jsonl"))[..] else {
        panic!("one letter")
    };
    assert_eq!(
        (letter.stage.as_str(), letter.reason.as_str()),
        ("enrich", "unknown_instrument")
    );
}

#[test]
fn mistakes_in_tables_are_told_with_their_lines() {
    let text = "name = \"x\"\n[source]\ntype = \"generator\"\n\n[[sink]]\ntype = \"discard\"\n\n\
        [[table]]\ntype = \"generator\"\n\n[[table]]\nname = \"a\"\ntype = \"generator\"\nevnts = 1\n\n\
        [[table]]\nname = \"a\"\ntype = \"generator\"\n\n[[transform]]\ntype = \"enrich\"\ninstruments = \"a\"\n\n\
        [[transform]]\ntype = \"enrich\"\n\ninstruments = \"b\"\n";
    let told = Pipeline::from_toml(text, &registry())
        .map(drop)
        .unwrap_err()
        .to_string();
    for (line, what) in [
        (8, "the table has no name"),
        (14, "unknown field `evnts`"),
        (17, "there is another table \"a\""),
        (27, "unknown table \"b\"; known: a"),
    ] {
        let found = told
            .lines()
            .any(|told| told.starts_with(&format!("line {line}: ")) && told.contains(what));
        assert!(found, "{what:?} is not told for line {line}:\n{told}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
    let table = Pipeline::from_toml("name = \"x\"\n[table]\ntype = \"generator\"\n", &registry());
    assert!(table.unwrap_err().to_string().contains("write [[table]]"));
}
