//! Failures that a server tells: those that pass are waited for, those that do not are told.

use std::time::Duration;

use qicore_data::{ErrorKind, Event, RetryAdvice, Sink, Timeframe, Timestamp};
use sqlx::Executor;

use crate::servers::{self, Database};
use crate::{assert_done, assert_same, bar, delivery, held, market, open, pipeline, put, sink, until_blocked};

/// Makes the next statements that insert into `table` fail with a code, `times` in all.
async fn fail(place: &Database, table: &str, code: &str, times: u32) {
    let sql = format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{code}'; END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER trouble AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION trouble();"
    );
    place.sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_pass_are_waited_for() {
    for (code, kind, told) in [
        ("53100", ErrorKind::Unavailable, "disk is full"),
        ("53200", ErrorKind::Unavailable, "made to fail"),
        ("40P01", ErrorKind::Unavailable, "made to fail"),
        ("40001", ErrorKind::Unavailable, "made to fail"),
        ("57014", ErrorKind::Timeout, "statement_timeout"),
        ("55P03", ErrorKind::Timeout, "lock_timeout"),
        ("58030", ErrorKind::Unavailable, "made to fail"),
        ("XX000", ErrorKind::Unavailable, "made to fail"),
    ] {
        let place = servers::postgres().await;
        let (source, expected) = market(2, 500);
        let first = open(&place, "first").await;
        fail(&place, "trades", code, 4).await;
        assert_eq!(held(&first, "l").await, 0);
        let error = first.write(&delivery("l", 0, expected.clone())).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, RetryAdvice::Backoff), "{error}");
        assert!(
            error.to_string().contains(told) && error.to_string().contains(code),
            "{error}"
        );
        first.close().await.unwrap();
        assert_same(&place.all().await, &[]);
        let summary = pipeline("p", source, sink(&place))
            .build()
            .unwrap()
            .run()
            .await
            .unwrap();
        assert_eq!(summary.stats.sinks[0].failures, 3, "{code}");
        assert_same(&place.all().await, &expected);
    }
}

/// A rule of the database's owner may forbid what every way of writing known rows begins with.
#[tokio::test]
async fn what_no_way_of_writing_gets_around_is_told_and_not_tried_for_ever() {
    let place = servers::postgres().await;
    put(&place, "p", bars(0..1)).await;
    let rule = "CREATE FUNCTION no_tables() RETURNS event_trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'no tables here'; END $$;
                CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN ('CREATE TABLE')
                    EXECUTE FUNCTION no_tables()";
    place.sql(rule).await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "lane").await, 1);
    let known = delivery("lane", 1, bars(0..100));
    let tried = tokio::time::timeout(Duration::from_secs(20), sink.write(&known)).await;
    let error = tried.expect("tried without end").unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Rejected, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("no tables here"), "{error}");
}

fn bars(minutes: std::ops::Range<i64>) -> Vec<Event> {
    let bar = |minute| {
        bar(
            "BTC/USD",
            Timeframe::M1,
            Timestamp::from_nanos(minute * 60_000_000_000),
            100,
            100 + minute,
        )
    };
    minutes.map(bar).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_deadlock_is_tried_again() {
    let place = servers::postgres().await;
    put(&place, "p", bars(0..1)).await;
    // Another program holds a key that the delivery has, and then wants the lane that the delivery has taken.
    let mut other = place.connect().await;
    let take = "BEGIN; INSERT INTO ohlcv (symbol, exchange, timeframe, timestamp, open, high, low, close, volume, closed, \
                origin, revision, source, quality) SELECT symbol, exchange, timeframe, '1970-01-01 00:05Z', open, high, \
                low, close, volume, closed, origin, revision, source, quality FROM ohlcv";
    other.execute(take).await.unwrap();
    let writer = open(&place, "p").await;
    assert_eq!(held(&writer, "lane").await, 1);
    let write = tokio::spawn(async move {
        let delivery = delivery("lane", 1, bars(1..10));
        let mut failures = Vec::new();
        loop {
            match writer.write(&delivery).await {
                Ok(receipt) => return (receipt, failures),
                Err(error) => failures.push(error),
            }
        }
    });
    until_blocked(&place).await;
    // Whoever has waited for longer is the one that is ended.
    let moved = other.execute("UPDATE qicore_lanes SET updated_at = now()").await;
    other.execute("ROLLBACK").await.unwrap();
    let (receipt, failures) = write.await.unwrap();
    assert_done(&receipt);
    assert!(moved.is_err() || !failures.is_empty(), "nobody met a deadlock");
    for error in failures {
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unavailable, RetryAdvice::Backoff),
            "{error}"
        );
        assert!(error.message().contains("deadlock"), "{error}");
    }
    assert_same(&place.all().await, &bars(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_and_slow_statements_end_in_time() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    let sink_with = async |statement, lock| {
        let (statement, lock) = (Duration::from_millis(statement), Duration::from_millis(lock));
        let connection = place.connection().timeouts(statement, lock);
        let sink = qicore_sinks::Timescale::new(connection);
        sink.open(&qicore_data::WriterId::new("p", "sink")).await.unwrap();
        sink
    };
    let first = delivery("l", 0, bars(0..10));
    let mut other = place.connect().await;
    other.execute("BEGIN; LOCK TABLE ohlcv").await.unwrap();
    for (statement, lock, told) in [(5_000, 50, "lock_timeout"), (50, 5_000, "statement_timeout")] {
        let sink = sink_with(statement, lock).await;
        assert_eq!(held(&sink, "l").await, 0);
        let error = sink.write(&first).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Timeout, RetryAdvice::Backoff),
            "{error}"
        );
        assert!(error.to_string().contains(told), "{error}");
        sink.close().await.unwrap();
    }
    let sink = sink_with(20_000, 20_000).await;
    assert_eq!(held(&sink, "l").await, 0);
    let write = tokio::spawn(async move { sink.write(&first).await });
    until_blocked(&place).await;
    other.execute("COMMIT").await.unwrap();
    assert_done(&write.await.unwrap().unwrap());
    assert_same(&place.all().await, &bars(0..10));
}
