//! Servers that die, are away, or take no more for a while: the pipeline goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Sink, WriterId};
use qicore_stream::{LaneStats, Options, Pipeline};

use crate::servers::{self, Clickhouse, Own};
use crate::{assert_away, market, open, pipeline, same, sink};

/// A database of its own server.
fn database(server: &Own) -> Clickhouse {
    Clickhouse::new(server.url(), "market")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_work() {
    let server = Arc::new(Own::clickhouse(""));
    let place = database(&server);
    let (source, expected) = market(3, 20_000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    for rows in [1, 15_000, 30_000, 45_000] {
        while run.stats().sinks[0].rows < rows {
            assert!(!run.is_finished());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.restart().await;
    }
    let stats = run.wait().await.unwrap().stats;
    assert!(stats.sinks[0].failures >= 4, "{stats:?}");
    same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let server = Arc::new(Own::clickhouse(""));
    let place = database(&server);
    server.aside(Own::kill).await;
    let error = sink(&place).open(&WriterId::new("p", "sink")).await.unwrap_err();
    assert_away(&error, place.port());
    let (source, expected) = market(1, 500);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    server.aside(Own::start).await;
    run.wait().await.unwrap();
    same(&place.all().await, &expected);
}

/// The server goes on, but nobody is let in any more. It could be told by another port alone to listen again, and has
/// none: it is started anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_stopped_and_started() {
    let server = Arc::new(Own::clickhouse(""));
    let place = database(&server);
    let (source, expected) = market(3, 20_000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    for rows in [1, 20_000, 40_000] {
        while run.stats().sinks[0].rows < rows {
            assert!(!run.is_finished());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        place.sql("SYSTEM STOP LISTEN HTTP").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(place.try_sql("SELECT 1").await.is_err(), "the server still listens");
        server.restart().await;
    }
    let stats = run.wait().await.unwrap().stats;
    assert!(stats.sinks[0].failures >= 3, "{stats:?}");
    same(&place.all().await, &expected);
}

/// While the server is down the source is held back: memory does not grow with what it has to give.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_down_holds_the_source_back() {
    let server = Arc::new(Own::clickhouse(""));
    let place = database(&server);
    open(&place, "warm").await.close().await.unwrap();
    let (source, expected) = market(1, 30_000);
    let options = Options::default().queue(2000, 1 << 20);
    let run = pipeline("p", source, sink(&place))
        .options(options)
        .build()
        .unwrap()
        .start();
    while run.stats().sinks[0].rows < 1 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.aside(Own::kill).await;
    let read = |run: &qicore_stream::Handle| run.stats().lanes.values().map(LaneStats::events).sum::<u64>();
    let mut before = read(&run);
    // Until nothing more is read.
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = read(&run);
        if now == before {
            break;
        }
        before = now;
    }
    assert!(before < expected.len() as u64, "everything was read: {before}");
    server.aside(Own::start).await;
    run.wait().await.unwrap();
    same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_parts_are_waited_for() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE {db}.trades MODIFY SETTING parts_to_throw_insert = 2, parts_to_delay_insert = 1, max_delay_to_insert = 1")
        .await;
    place.sql("SYSTEM STOP MERGES {db}.trades").await;
    let (source, expected) = market(1, 2000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    while run.stats().sinks[0].failures < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!run.is_finished());
    place
        .sql("ALTER TABLE {db}.trades MODIFY SETTING parts_to_throw_insert = 3000, parts_to_delay_insert = 1000")
        .await;
    place.sql("SYSTEM START MERGES {db}.trades").await;
    run.wait().await.unwrap();
    same(&place.all().await, &expected);
}

/// A batch that is too large for the server's memory goes in pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_the_servers_memory_is_short_for_is_cut() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    let connection = place.connection().setting("max_memory_usage", "9000000");
    let sink = qicore_sinks::Clickhouse::new(connection).tables(place.tables());
    let events = qicore_stream::testkit::trades(0..100_000);
    let source = qicore_stream::testkit::Scripted::lanes([("lane", events.clone())], 2000);
    let retry = qicore_data::RetryPolicy::default().pauses(Duration::from_millis(5), Duration::from_millis(20));
    let options = qicore_stream::SinkOptions::default()
        .retry(retry.retries(50))
        .breaker(qicore_stream::BreakerPolicy::new(0, Duration::ZERO));
    let run = Pipeline::builder("p")
        .source(source)
        .sink_with(Arc::new(sink), options)
        .build()
        .unwrap()
        .run();
    let stats = run.await.unwrap().stats;
    assert!(stats.sinks[0].failures > 0, "there was memory enough: {stats:?}");
    same(&place.events(qicore_data::EventType::Trade).await, &events);
}
