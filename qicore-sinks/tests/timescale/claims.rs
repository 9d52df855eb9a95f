//! Several writers of the same lane: the one that was started last goes on, alone.

use std::time::Duration;

use qicore_data::{Delivery, Error, ErrorKind, Event, RetryAdvice, Sink, WriterId};
use qicore_sinks::Timescale;
use qicore_stores::timescale::TlsMode;
use sqlx::Executor;

use crate::common::proxy::{Fate, Proxy};
use crate::servers::{self, Database};
use crate::{assert_done, assert_same, delivery, held, market, open, pipeline, sink, until_blocked};

fn assert_taken_over(error: &Error) {
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Fenced, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("has taken over"), "{error}");
}

async fn refused(sink: &Timescale, delivery: &Delivery) {
    assert_taken_over(&sink.write(delivery).await.unwrap_err());
}

async fn written(sink: &Timescale, delivery: &Delivery) {
    assert_done(&sink.write(delivery).await.unwrap());
}

/// Two runs of one pipeline at about the same time, over several lanes that both want.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_pipeline_that_is_started_twice_one_run_goes_on() {
    for place in servers::both().await {
        place.store().migrate().await.unwrap();
        let runs = [(), ()].map(|()| {
            let (source, _) = market(4, 4000);
            pipeline("p", source, sink(&place)).build().unwrap().start()
        });
        let [one, other] = runs.map(|run| tokio::spawn(run.wait()));
        let ended = [one.await.unwrap(), other.await.unwrap()];
        let failed: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
        let [error] = failed[..] else { panic!("{ended:?}") };
        assert_taken_over(error);
        assert_same(&place.all().await, &market(4, 4000).1);
    }
}

/// The first 200 events of a market, in deliveries of a lane.
fn parts(lane: &str, sizes: &[usize]) -> (Vec<Delivery>, Vec<Event>) {
    let (_, events) = market(1, 200);
    let (mut after, mut parts) = (0, Vec::new());
    for size in sizes {
        parts.push(delivery(lane, after as u64, events[after..after + size].to_vec()));
        after += size;
    }
    (parts, events[..after].to_vec())
}

/// Deliveries that are copied (100 rows), and those that are written by one statement (10).
#[tokio::test]
async fn a_writer_that_was_taken_for_dead_writes_nothing() {
    for size in [100, 10] {
        let place = servers::postgres().await;
        let (parts, events) = parts("l", &[size, size]);
        let dead = open(&place, "p").await;
        assert_eq!(held(&dead, "l").await, 0);
        let alive = open(&place, "p").await;
        assert_eq!(held(&alive, "l").await, 0);
        written(&alive, &parts[0]).await;
        // The same delivery, but of another process: nobody can tell that its rows are those.
        refused(&dead, &parts[0]).await;
        refused(&dead, &parts[1]).await;
        assert_taken_over(&dead.checkpoint(&parts[0].lane).await.unwrap_err());
        written(&alive, &parts[1]).await;
        assert_same(&place.all().await, &events);
    }
}

/// A lane is the newer run's even where neither has written to it, and even if the older one asks for it later.
#[tokio::test]
async fn the_newer_run_has_every_lane() {
    let place = servers::postgres().await;
    let (parts, events) = parts("l", &[50, 50]);
    let (older, newer) = (open(&place, "p").await, open(&place, "p").await);
    assert_eq!((held(&older, "other").await, held(&newer, "l").await), (0, 0));
    assert_taken_over(&older.checkpoint(&parts[0].lane).await.unwrap_err());
    refused(&older, &parts[0]).await;
    for part in &parts {
        written(&newer, part).await;
    }
    assert_same(&place.all().await, &events);
}

/// Whether a database answers is asked by opening the sink, also while its pipeline runs.
#[tokio::test]
async fn a_probe_takes_nothing_over() {
    let place = servers::postgres().await;
    let (parts, events) = parts("l", &[50, 50]);
    let running = open(&place, "p").await;
    written(&running, &parts[0]).await;
    open(&place, "p").await.close().await.unwrap();
    written(&running, &parts[1]).await;
    assert_same(&place.all().await, &events);
}

/// What is on its way when a lane is taken up is waited for: the newer run goes on behind it, not beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_on_its_way_is_done_before_its_lane_is_taken_over() {
    for sizes in [[100, 100], [10, 100]] {
        let place = servers::postgres().await;
        let (parts, events) = parts("l", &sizes);
        let older = open(&place, "p").await;
        assert_eq!(held(&older, "l").await, 0);
        // Someone else's lock holds the delivery up once its lane is moved.
        let mut other = place.connect().await;
        other.execute("BEGIN; LOCK TABLE trades, quotes, ohlcv").await.unwrap();
        let first = parts[0].clone();
        let write = tokio::spawn(async move { older.write(&first).await.map(|receipt| (older, receipt)) });
        until_blocked(&place).await;
        let newer = open(&place, "p").await;
        let take_up = tokio::spawn(async move { (held(&newer, "l").await, newer) });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!take_up.is_finished(), "taken up before the delivery is done");
        other.execute("ROLLBACK").await.unwrap();
        let (older, receipt) = write.await.unwrap().unwrap();
        assert_done(&receipt);
        let (after, newer) = take_up.await.unwrap();
        assert_eq!(after, sizes[0] as u64);
        refused(&older, &parts[1]).await;
        written(&newer, &parts[1]).await;
        assert_same(&place.all().await, &events);
    }
}

/// A stopped process, or one whose host is gone, in the middle of a copy: there the server waits for its rows, whatever
/// its timeouts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_run_that_hangs_in_a_copy_is_ended() {
    let place = servers::postgres().await;
    let (_, events) = market(1, 4000);
    open(&place, "p").await.close().await.unwrap();
    let proxy = Proxy::new(place.port(), |number| {
        if number == 0 { Fate::Stall(60_000) } else { Fate::Sound }
    })
    .await;
    let through = place.at_port(proxy.port());
    let older = Timescale::new(through.connection().tls(TlsMode::Disable).connections(1)).tables(place.tables());
    older.open(&WriterId::new("p", "sink")).await.unwrap();
    assert_eq!(held(&older, "l").await, 0);
    let all = delivery("l", 0, events.clone());
    let hangs = {
        let all = all.clone();
        tokio::spawn(async move { older.write(&all).await })
    };
    let copying = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%' \
                   AND wait_event = 'ClientRead')";
    while !place.value::<bool>(copying).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut connection = place.connection();
    connection.lock_timeout = Duration::from_millis(300);
    let newer = Timescale::new(connection).tables(place.tables());
    newer.open(&WriterId::new("p", "sink")).await.unwrap();
    let error = newer.checkpoint(&all.lane).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Timeout, RetryAdvice::Backoff),
        "{error}"
    );
    assert_eq!(held(&newer, "l").await, 0);
    written(&newer, &all).await;
    assert_same(&place.all().await, &events);
    hangs.abort();
}

#[tokio::test]
async fn a_position_that_was_changed_by_hand_is_not_written_over() {
    let place: Database = servers::postgres().await;
    let (parts, events) = parts("l", &[50, 50]);
    let writer = open(&place, "p").await;
    assert_eq!(held(&writer, "l").await, 0);
    written(&writer, &parts[0]).await;
    place.sql("UPDATE qicore_lanes SET position = 7").await;
    let error = writer.write(&parts[1]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Checkpoint, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("changed by hand"), "{error}");
    assert_same(&place.all().await, &events[..50]);
}

/// Who does not ask where a lane stands would write its rows again.
#[tokio::test]
async fn a_lane_that_has_a_checkpoint_is_not_begun_anew() {
    let place = servers::postgres().await;
    let (parts, events) = parts("l", &[50, 50]);
    // A new lane needs no question.
    written(&open(&place, "p").await, &parts[0]).await;
    let again = open(&place, "p").await;
    for _ in 0..2 {
        let error = again.write(&parts[0]).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Checkpoint, RetryAdvice::Never),
            "{error}"
        );
    }
    assert_eq!(held(&again, "l").await, 50);
    written(&again, &parts[1]).await;
    assert_same(&place.all().await, &events);
}
