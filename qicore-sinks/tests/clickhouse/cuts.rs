//! Connections that are lost anywhere: nothing is lost with them, and nothing doubled.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{ErrorKind, Sink};

use crate::common::proxy::{Fate, Proxy, cuts};
use crate::servers::{self, Clickhouse, Own};
use crate::{assert_done, delivery, held, market, open, pipeline, same, sink, write_dropping};

/// A server that is started again whenever it has ended: this build of it aborts when a connection is cut in the middle of a
/// request, which is also what happens to a request that is given up.
struct Supervised {
    server: Arc<Own>,
    watch: tokio::task::JoinHandle<()>,
}

impl Supervised {
    fn new() -> Self {
        let server = Arc::new(Own::clickhouse(""));
        let watched = Arc::clone(&server);
        let port = Clickhouse::new(server.url(), "market").port();
        let watch = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                    let watched = Arc::clone(&watched);
                    // One that does not come up at once is tried again.
                    let _ = tokio::task::spawn_blocking(move || watched.start()).await;
                }
            }
        });
        Self { server, watch }
    }

    fn place(&self, database: &str) -> Clickhouse {
        Clickhouse::new(self.server.url(), database)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Runs a pipeline of three lanes over a wire, and looks for its rows.
async fn run_over(place: &Clickhouse, size: usize, fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> u64 {
    place.store().migrate().await.unwrap();
    let proxy = Proxy::new(place.port(), fate).await;
    let (source, expected) = market(3, size);
    let run = pipeline("p", source, sink(&place.at_port(proxy.port())))
        .build()
        .unwrap()
        .run();
    run.await.unwrap();
    same(&place.all().await, &expected);
    proxy.met()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_be_cut_at_any_byte() {
    let server = Supervised::new();
    let met = run_over(&server.place("market"), 2000, cuts(1, 60)).await;
    assert!(met >= 10, "only {met} connections were cut");
}

/// Rows as they lie there are not doubled either: the server knows the batch by its token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_whose_answer_is_lost_is_repeated_and_taken_once() {
    let place = servers::clickhouse();
    let fate = |number: u64| {
        if number < 12 {
            Fate::Unanswered("INSERT+INTO")
        } else {
            Fate::Sound
        }
    };
    let met = run_over(&place, 1000, fate).await;
    assert!(met >= 5, "only {met} inserts were left unanswered");
    let (_, expected) = market(3, 1000);
    let lying = place.physical("trades").await + place.physical("quotes").await;
    // `uptime()` counts from seconds before the first test on, else batches get another token.
    let known = place.value::<u64>("SELECT toUInt64(uptime())").await > 60;
    assert!(
        !known || lying == expected.len() as u64,
        "{lying} rows lie there for {}",
        expected.len()
    );
}

#[tokio::test]
async fn one_try_more_finds_the_unanswered_insert_done() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    let (_, events) = market(1, 100);
    // Those of the tables, one after the other.
    let fate = |number: u64| {
        if number == 1 {
            Fate::Unanswered("INSERT+INTO")
        } else {
            Fate::Sound
        }
    };
    let proxy = Proxy::new(place.port(), fate).await;
    let sink = open(&place.at_port(proxy.port()), "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    // The connection of the opening is left alone until it is old.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let first = delivery("l", 0, events.clone());
    let error = sink.write(&first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_done(&sink.write(&first).await.unwrap());
    same(&place.all().await, &events);
    let again = open(&place, "p").await;
    assert_eq!(held(&again, "l").await, events.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_stalls_is_given_up() {
    let server = Supervised::new();
    let place = server.place("market");
    place.store().migrate().await.unwrap();
    // Many: where the client gives one up the server may abort, which ends those that stall beside it.
    let fate = |number: u64| match number {
        0..16 => Fate::Stall([40, 200, 400, 600, 900, 1500][number as usize % 6]),
        _ => Fate::Sound,
    };
    let proxy = Proxy::new(place.port(), fate).await;
    let (source, expected) = market(3, 2000);
    let through = place.at_port(proxy.port());
    let connection = through
        .connection()
        .timeouts(Duration::from_secs(1), Duration::from_secs(1));
    let sink = qicore_sinks::Clickhouse::new(connection).tables(place.tables());
    pipeline("p", source, sink).build().unwrap().run().await.unwrap();
    assert!(proxy.met() >= 3, "only {} connections have stalled", proxy.met());
    same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_dropped_anywhere_can_be_made_again() {
    let (_, events) = market(1, 4000);
    let server = Supervised::new();
    let place = server.place("market");
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    write_dropping(&sink, &events, true).await;
    same(&place.all().await, &events);
}
