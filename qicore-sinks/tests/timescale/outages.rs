//! Servers that die, are away, or take no writes for a while: the pipeline goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{ErrorKind, RetryAdvice, Sink, WriterId};

use qicore_sinks::Timescale;
use qicore_stream::Options;

use crate::servers::{self, Database, Own};
use crate::{assert_away, assert_same, market, open, pipeline, sink};

/// Waits until a query gives true, which the test's own time limit bounds.
async fn until(place: &Database, sql: &str) {
    while !place.value::<bool>(sql).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Makes every row take its time, so that a copy can be met in its middle.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                    $$ BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END $$; \
                    CREATE TRIGGER slow BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION slow()";
const COPYING: &str = "SELECT EXISTS (SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 20)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_in_the_middle_of_a_copy() {
    let server = Arc::new(Own::postgres(""));
    let place = server.database();
    place.store().migrate().await.unwrap();
    place.sql(SLOW).await;
    let (source, expected) = market(3, 3000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    let mut seen = 0;
    for _ in 0..3 {
        until(&place, COPYING).await;
        server.restart().await;
        let rows = place.count("trades").await;
        assert!(rows >= seen && !run.is_finished(), "{rows} of {seen} rows after a kill");
        seen = rows;
    }
    let stats = run.wait().await.unwrap().stats;
    assert!(stats.sinks[0].failures >= 3, "{stats:?}");
    assert_same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timescale_server_that_is_killed_at_work() {
    let server = Arc::new(Own::timescale());
    let place = server.database();
    let (source, expected) = market(2, 3000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    for rows in [1, 1500] {
        while run.stats().sinks[0].rows < rows {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.restart().await;
    }
    run.wait().await.unwrap();
    assert_same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let server = Arc::new(Own::postgres(""));
    let place = server.database();
    server.aside(Own::stop).await;
    let mut connection = place.connection();
    connection.connect_timeout = Duration::from_millis(300);
    let hasty = Timescale::new(connection);
    let error = hasty.open(&WriterId::new("p", "sink")).await.unwrap_err();
    assert_away(&error, place.port());
    let (source, expected) = market(1, 500);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    server.aside(Own::start).await;
    run.wait().await.unwrap();
    assert_same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_an_administrator_ends_are_made_again() {
    let place = servers::postgres().await;
    let (source, expected) = market(3, 3000);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name = 'qicore'";
    let mut ended = 0;
    while !run.is_finished() {
        ended += place.value::<i64>(others).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        if ended > 30 {
            break;
        }
    }
    run.wait().await.unwrap();
    assert!(ended > 0, "no connection was ended");
    assert_same(&place.all().await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_waited_for() {
    let place = servers::postgres().await;
    let name = place.value::<String>("SELECT current_database()::text").await;
    open(&place, "p").await.close().await.unwrap();
    place
        .sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .await;
    // What is there need not be migrated; a new schema cannot be.
    let closed = sink(&Database::in_schema(&place.url, "another"));
    let error = closed.open(&WriterId::new("p", "sink")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unavailable, RetryAdvice::Backoff),
        "{error}"
    );
    assert!(error.to_string().contains("read-only"), "{error}");
    assert!(!place.store().health().await.unwrap().is_ready());

    let (source, expected) = market(2, 500);
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    while run.stats().sinks[0].failures < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let back = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    place.sql(&format!("BEGIN READ WRITE; {back}; COMMIT")).await;
    run.wait().await.unwrap();
    assert_same(&place.all().await, &expected);
}

/// What is held in memory while the database is down follows from the configuration, however much the source has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_holds_the_source_back() {
    let (lanes, queue, batch) = (2, 1024, 200);
    let server = Own::postgres("");
    let place = server.database();
    let (source, expected) = market(lanes, 20_000);
    let options = Options::default().queue(queue, 64 << 20);
    let run = pipeline("p", source, sink(&place))
        .options(options)
        .build()
        .unwrap()
        .start();
    while run.stats().sinks[0].rows == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    let failed = run.stats().sinks[0].failures;
    while run.stats().sinks[0].failures < failed + lanes {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stats = run.stats();
    let ahead = stats.total().events() - stats.sinks[0].rows;
    // One queue before the lane, one before the sink, the delivery on its way, and batches in each hand.
    let most = lanes * (2 * queue as u64 + batch + 3 * 100);
    assert!(
        !run.is_finished() && ahead <= most,
        "{ahead} events are held, of {most} at most"
    );
    server.start();
    run.wait().await.unwrap();
    assert_same(&place.all().await, &expected);
}

/// A failover: the pipeline is pointed at a replica, which is promoted while it waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_waited_for_until_it_is_promoted() {
    let primary = Own::postgres("");
    let (source, expected) = market(2, 500);
    open(&primary.database(), "p").await.close().await.unwrap();
    let standby = primary.standby();
    let place = standby.database();
    assert!(!place.store().health().await.unwrap().is_ready());
    let run = pipeline("p", source, sink(&place)).build().unwrap().start();
    while run.stats().sinks[0].failures < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    primary.kill();
    assert!(place.value::<bool>("SELECT pg_promote()").await);
    run.wait().await.unwrap();
    assert!(place.store().health().await.unwrap().is_ready());
    assert_same(&place.all().await, &expected);
}

#[tokio::test]
async fn a_schema_that_is_dropped_is_told_and_made_anew_by_a_restart() {
    for place in servers::both().await {
        let place = Database::in_schema(&place.url, &servers::unique("dropped"));
        let (_, events) = market(1, 100);
        let sink = open(&place, "p").await;
        assert_eq!(crate::held(&sink, "l").await, 0);
        let (first, second) = (events[..50].to_vec(), events[50..].to_vec());
        crate::assert_done(&sink.write(&crate::delivery("l", 0, first)).await.unwrap());
        place.sql(&format!("DROP SCHEMA {} CASCADE", place.schema)).await;
        let error = sink.write(&crate::delivery("l", 50, second)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Schema, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("qicore_lanes"), "{error}");
        sink.close().await.unwrap();
        // Nothing is stored any more, so the lane begins anew.
        crate::put(&place, "p", events.clone()).await;
        assert_same(&place.all().await, &events);
    }
}
