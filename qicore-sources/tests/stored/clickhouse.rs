//! Rows of ClickHouse.

use qicore_data::{Data, Event, EventType};
use qicore_sinks::Timescale;
use qicore_sources::ClickhouseRows;
use qicore_stream::Pipeline;
use qicore_stream::testkit::conformance;

use crate::servers::{self, Clickhouse, Own};
use crate::{all, assert_ordered_by_time, over_a_kill};

/// Stores a synthetic market, and gives what was stored.
async fn market(place: &Clickhouse, events: u64) -> Vec<Event> {
    let sink = qicore_sinks::Clickhouse::new(place.connection());
    crate::market(sink.tables(place.tables()), events).await
}

fn rows(place: &Clickhouse) -> ClickhouseRows {
    ClickhouseRows::new(place.connection())
        .database(place.database.as_str())
        .types([EventType::Trade, EventType::Candle])
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
    let found = all(rows(&place)).await;
    assert_ordered_by_time(&found);
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
    same(&over_a_kill(rows(&place), &server).await, &stored);
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
