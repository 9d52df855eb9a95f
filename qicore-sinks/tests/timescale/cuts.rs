//! Connections that are lost anywhere: nothing is lost with them, and nothing doubled.

use std::time::Duration;

use qicore_data::{RetryPolicy, Sink};
use qicore_sinks::Timescale;
use qicore_stores::timescale::TlsMode;
use qicore_stream::{BreakerPolicy, Pipeline, SinkOptions};

use crate::common::proxy::{Fate, Proxy, cuts};
use crate::servers::{self, Database};
use crate::{assert_done, assert_same, delivery, held, market, open, pipeline, put, write_dropping};

fn sink(place: &Database, tls: TlsMode) -> Timescale {
    Timescale::new(place.connection().tls(tls)).tables(place.tables())
}

/// Runs a pipeline of three lanes over a wire, and looks for its rows.
async fn run_over(
    place: &Database,
    tls: TlsMode,
    size: usize,
    fate: impl Fn(u64) -> Fate + Send + Sync + 'static,
) -> u64 {
    place.store().migrate().await.unwrap();
    let proxy = Proxy::new(place.port(), fate).await;
    let (source, expected) = market(3, size);
    let run = pipeline("p", source, sink(&place.at_port(proxy.port()), tls))
        .build()
        .unwrap()
        .run();
    run.await.unwrap();
    assert_same(&place.all().await, &expected);
    proxy.met()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_be_cut_at_any_byte() {
    for seed in 0..3 {
        let place = servers::postgres().await;
        let met = run_over(&place, TlsMode::Disable, 4000, cuts(seed, 40)).await;
        assert!(met >= 20, "only {met} connections were cut");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_connection_may_be_cut_at_any_byte() {
    let place = servers::postgres().await;
    let met = run_over(&place, TlsMode::Require, 4000, cuts(99, 40)).await;
    assert!(met >= 20, "only {met} connections were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hypertables_are_exact_over_a_bad_wire_too() {
    let place = servers::timescale().await;
    let met = run_over(&place, TlsMode::Disable, 1000, cuts(7, 15)).await;
    assert!(met >= 5, "only {met} connections were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_done() {
    for place in servers::both().await {
        let fate = |number: u64| {
            if number < 12 {
                Fate::Unanswered("COMMIT\0")
            } else {
                Fate::Sound
            }
        };
        let met = run_over(&place, TlsMode::Disable, 1000, fate).await;
        assert!(met >= 5, "only {met} commits were left unanswered");
    }
}

#[tokio::test]
async fn one_try_more_finds_the_unanswered_commit_done() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    // Of the open, of the checkpoint, and of the first write.
    let fate = |number: u64| {
        if number == 0 {
            Fate::Unanswered("COMMIT\0")
        } else {
            Fate::Sound
        }
    };
    let proxy = Proxy::new(place.port(), fate).await;
    let through = place.at_port(proxy.port());
    // One connection, which is the one that is told about.
    let sink = Timescale::new(through.connection().tls(TlsMode::Disable).connections(1)).tables(through.tables());
    sink.open(&qicore_data::WriterId::new("p", "sink")).await.unwrap();
    assert_eq!(held(&sink, "l").await, 0);
    let (_, events) = market(1, 100);
    let first = delivery("l", 0, events.clone());
    let error = sink.write(&first).await.unwrap_err();
    assert_eq!(error.kind(), qicore_data::ErrorKind::Unavailable, "{error}");
    assert_same(&place.all().await, &events);
    assert_done(&sink.write(&first).await.unwrap());
    assert_same(&place.all().await, &events);
    // And it goes on from there.
    let (_, next) = market(2, 100);
    let next = next.into_iter().filter(|event| !events.contains(event)).collect();
    assert_done(&sink.write(&delivery("l", events.len() as u64, next)).await.unwrap());
    assert_same(&place.all().await, &market(2, 100).1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stalls_is_given_up() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    let fate = |number: u64| match number {
        0..6 => Fate::Stall([40, 700, 1500, 3000, 20_000, 60_000][number as usize]),
        _ => Fate::Sound,
    };
    let proxy = Proxy::new(place.port(), fate).await;
    let (source, expected) = market(3, 3000);
    let retry = RetryPolicy::default()
        .retries(usize::MAX)
        .pauses(Duration::from_millis(10), Duration::from_millis(20))
        .timeout(Duration::from_secs(1));
    let options = SinkOptions::default()
        .retry(retry)
        .breaker(BreakerPolicy::new(0, Duration::ZERO));
    let sink = std::sync::Arc::new(sink(&place.at_port(proxy.port()), TlsMode::Disable));
    let builder = Pipeline::builder("p").source(source).sink_with(sink, options);
    builder.build().unwrap().run().await.unwrap();
    assert!(proxy.met() >= 3, "only {} connections have stalled", proxy.met());
    assert_same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_anywhere_can_be_made_again() {
    let (_, events) = market(1, 4000);
    for place in servers::both().await {
        let sink = open(&place, "p").await;
        assert_eq!(held(&sink, "l").await, 0);
        write_dropping(&sink, &events, false).await;
        assert_same(&place.all().await, &events);
        // Nothing is left behind that would be in the way of others.
        put(&place, "other", market(2, 50).1).await;
        sink.close().await.unwrap();
    }
}
