//! Stored rows as a source, on real servers.

mod clickhouse;
mod timescale;

#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::sync::Arc;

use qicore_data::{BatchLimit, Content, Event, EventType, FromStart, Sink, Source, Timeframe};
use qicore_sinks::Memory;
use qicore_sources::Generator;
use qicore_stream::Pipeline;
use qicore_stream::transform::Candles;

use servers::Own;

/// Stores a synthetic market with its candles, and gives what was stored: databases have no columns for enrichments.
async fn market(sink: impl Sink + 'static, events: u64) -> Vec<Event> {
    let memory = Memory::new();
    let source = Generator::new(5).symbols(4).lanes(2).events(events);
    let builder = Pipeline::builder("market")
        .source(source)
        .transform(Candles::new([Timeframe::S1, Timeframe::M1]).unwrap())
        .sink(sink)
        .sink(memory.clone());
    builder.build().unwrap().run().await.unwrap();
    let mut events = memory.events();
    events.iter_mut().for_each(|event| event.enrichment = None);
    events
}

/// All events of an open source that are left.
async fn rest(source: &mut dyn Source) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(batch) = source.next_batch(BatchLimit::default()).await.unwrap() {
        if let Content::Events(more, _) = batch.content {
            events.extend(more);
        }
    }
    events
}

/// All events of a source that is opened and closed.
async fn all(mut source: impl Source) -> Vec<Event> {
    source.open(Arc::new(FromStart)).await.unwrap();
    let events = rest(&mut source).await;
    source.close().await.unwrap();
    events
}

/// All events of a source whose server is killed in their middle.
async fn over_a_kill(mut source: impl Source, server: &Own) -> Vec<Event> {
    source.open(Arc::new(FromStart)).await.unwrap();
    let mut events = Vec::new();
    for _ in 0..3 {
        let limit = BatchLimit::new(1000, usize::MAX);
        if let Content::Events(more, _) = source.next_batch(limit).await.unwrap().unwrap().content {
            events.extend(more);
        }
    }
    server.kill();
    server.start();
    events.extend(rest(&mut source).await);
    events
}

#[track_caller]
fn assert_ordered_by_time(events: &[Event]) {
    for kind in [EventType::Trade, EventType::Candle] {
        let of_kind = events.iter().filter(|event| event.event_type() == kind);
        assert!(of_kind.map(|event| event.timestamp).is_sorted(), "{kind}");
    }
}
