//! Rows stored in ClickHouse as a source, on a real server.

#[path = "../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::sync::Arc;

use qicore_data::{BatchLimit, Content, Data, Event, EventType, FromStart, Source, Timeframe};
use qicore_sinks::{Memory, Timescale};
use qicore_sources::{ClickhouseRows, Generator};
use qicore_stream::Pipeline;
use qicore_stream::testkit::conformance;
use qicore_stream::transform::Candles;

use servers::{Clickhouse, Own};

/// Stores a synthetic market with its candles, and gives what was stored.
async fn market(place: &Clickhouse, events: u64) -> Vec<Event> {
    let memory = Memory::new();
    let source = Generator::new(5).symbols(4).lanes(2).events(events);
    let builder = Pipeline::builder("market")
        .source(source)
        .transform(Candles::new([Timeframe::S1, Timeframe::M1]).unwrap())
        .sink(qicore_sinks::Clickhouse::new(place.connection()).tables(place.tables()))
        .sink(memory.clone());
    builder.build().unwrap().run().await.unwrap();
    memory.events()
}

fn rows(place: &Clickhouse) -> ClickhouseRows {
    ClickhouseRows::new(place.connection())
        .database(place.database.as_str())
        .types([EventType::Trade, EventType::Candle])
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

/// Decimals are compared as numbers.
#[track_caller]
fn same(found: &[Event], expected: &[Event]) {
    let sorted = |events: &[Event]| {
        let mut events = events.to_vec();
        events.sort_by_cached_key(|event| {
            let id = match &event.data {
                Data::Trade(trade) => format!("{:?}", trade.id),
                Data::Candle(candle) => candle.timeframe.to_string(),
                data => panic!("{data:?}"),
            };
            (event.event_type(), event.timestamp, event.symbol, id)
        });
        events
    };
    assert_eq!(found.len(), expected.len());
    assert!(sorted(found) == sorted(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let place = servers::clickhouse();
    market(&place, 6000).await;
    conformance::source(|| Box::new(rows(&place))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gives_what_was_stored_in_the_order_of_time_and_arrival() {
    let place = servers::clickhouse();
    let stored = market(&place, 5000).await;
    // Written twice: it comes once.
    place.sql("INSERT INTO {db}.trades SELECT * FROM {db}.trades").await;
    let mut source = rows(&place);
    source.open(Arc::new(FromStart)).await.unwrap();
    let found = rest(&mut source).await;
    source.close().await.unwrap();
    for kind in [EventType::Trade, EventType::Candle] {
        let times = found
            .iter()
            .filter(|event| event.event_type() == kind)
            .map(|event| event.timestamp);
        assert!(times.is_sorted(), "{kind}");
    }
    same(&found, &stored);
    // Trades of one symbol come in the order in which they came.
    let of_one = |events: &[Event]| -> Vec<Event> {
        let one = |event: &&Event| event.event_type() == EventType::Trade && event.symbol == stored[0].symbol;
        events.iter().filter(one).cloned().collect()
    };
    assert!(of_one(&found) == of_one(&stored));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_is_read() {
    let server = Own::clickhouse("");
    let place = Clickhouse::new(server.url(), "market");
    let stored = market(&place, 100_000).await;
    let mut source = rows(&place);
    source.open(Arc::new(FromStart)).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..3 {
        let batch = source
            .next_batch(BatchLimit::new(1000, usize::MAX))
            .await
            .unwrap()
            .unwrap();
        if let Content::Events(more, _) = batch.content {
            found.extend(more);
        }
    }
    server.kill();
    server.start();
    found.extend(rest(&mut source).await);
    same(&found, &stored);
}

/// From one store into the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_into_timescale_is_whole() {
    let (place, other) = (servers::clickhouse(), servers::postgres().await);
    let stored = market(&place, 5000).await;
    let copy = Pipeline::builder("copy")
        .source(rows(&place))
        .sink(Timescale::new(other.connection()).tables(other.tables()));
    copy.build().unwrap().run().await.unwrap();
    same(&other.all().await, &stored);
}
