//! Rows that the server refuses, and tables that are not as they were made.

use qicore_data::{Data, ErrorKind, RetryAdvice, Sink, WriterId};
use qicore_stream::testkit::trades;

use crate::servers::{self, Clickhouse};
use crate::{assert_done, delivery, held, kinds, market, open, same, sink};

#[tokio::test]
async fn rows_that_a_constraint_refuses_are_found_and_the_rest_lands() {
    let place = servers::clickhouse();
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    place
        .sql("ALTER TABLE {db}.trades ADD CONSTRAINT odd CHECK id NOT LIKE '%77'")
        .await;
    let events = trades(0..1000);
    let receipt = sink.write(&delivery("l", 0, events.clone())).await.unwrap();
    let refused: Vec<usize> = (0..10).map(|hundred| 100 * hundred + 77).collect();
    assert!(receipt.staged);
    assert_eq!(
        receipt.rejected.iter().map(|row| row.index).collect::<Vec<_>>(),
        refused
    );
    let told = receipt.rejected[0].error.to_string();
    assert!(told.contains("odd") && told.contains("trades"), "{told}");
    sink.flush(&qicore_data::Lane::new("l")).await.unwrap();
    let sound: Vec<_> = (0..1000)
        .filter(|at| !refused.contains(at))
        .map(|at| events[at].clone())
        .collect();
    same(&place.all().await, &sound);
    assert_eq!(held(&open(&place, "p").await, "l").await, 1000);
}

#[tokio::test]
async fn a_view_of_ones_own_that_throws_refuses_its_row_alone() {
    for (expression, named) in [
        ("throwIf(id = '5', 'not this one')", "not this one"),
        ("toUUID(if(id = '5', 'none', toString(generateUUIDv4())))", "UUID"),
        ("accurateCast(if(id = '5', 300, 1), 'UInt8')", "safely converted"),
    ] {
        let place = servers::clickhouse();
        let sink = open(&place, "p").await;
        assert_eq!(held(&sink, "l").await, 0);
        place.sql("CREATE TABLE {db}.own (n String) ENGINE = Null").await;
        let view = format!(
            "CREATE MATERIALIZED VIEW {{db}}.view TO {{db}}.own AS SELECT toString({expression}) AS n FROM {{db}}.trades"
        );
        place.sql(&view).await;
        let receipt = sink.write(&delivery("l", 0, trades(0..10))).await.unwrap();
        let refused: Vec<_> = receipt.rejected.iter().map(|row| row.index).collect();
        assert_eq!(refused, [5], "{expression}");
        let reason = receipt.rejected[0].error.to_string();
        assert!(reason.contains(named), "{reason}");
    }
}

/// What a table that was changed is refused with when a sink opens.
async fn drift(change: &str) -> String {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    place.sql(change).await;
    let error = sink(&place).open(&WriterId::new("p", "s")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Schema, RetryAdvice::Never),
        "{error}"
    );
    error.to_string()
}

#[tokio::test]
async fn a_table_that_was_changed_is_named() {
    for (change, named) in [
        (
            "ALTER TABLE {db}.ohlcv DROP COLUMN volume SETTINGS mutations_sync = 1",
            ["ohlcv", "column=volume", "gone"],
        ),
        (
            "ALTER TABLE {db}.trades MODIFY COLUMN price Decimal(38, 8)",
            ["trades", "column=price", "Decimal(38, 8)"],
        ),
        (
            "ALTER TABLE {db}.trades MODIFY COLUMN source String",
            ["trades", "column=source", "LowCardinality"],
        ),
        (
            "DROP TABLE {db}.quotes SYNC",
            ["table=quotes", "the table is gone", "qicore_lanes"],
        ),
        (
            "CREATE OR REPLACE TABLE {db}.gaps ENGINE = MergeTree ORDER BY symbol AS SELECT * FROM {db}.gaps",
            ["gaps", "engine", "doubled"],
        ),
        (
            "CREATE OR REPLACE TABLE {db}.gaps ENGINE = ReplacingMergeTree ORDER BY (symbol, exchange, reason, from_time) \
             AS SELECT * FROM {db}.gaps",
            ["gaps", "engine", "newest"],
        ),
    ] {
        let told = drift(change).await;
        assert!(named.iter().all(|word| told.contains(word)), "{change}: {told}");
    }
}

#[tokio::test]
async fn a_column_that_is_changed_while_rows_are_written_takes_none() {
    for (change, named) in [
        (
            "ALTER TABLE {db}.trades MODIFY COLUMN price Decimal(38, 8) SETTINGS mutations_sync = 1",
            "price",
        ),
        (
            "ALTER TABLE {db}.trades DROP COLUMN side SETTINGS mutations_sync = 1",
            "side",
        ),
    ] {
        let place = servers::clickhouse();
        let sink = open(&place, "p").await;
        assert_eq!(held(&sink, "l").await, 0);
        assert_done(&sink.write(&delivery("l", 0, trades(0..10))).await.unwrap());
        place.sql(change).await;
        let error = sink.write(&delivery("l", 10, trades(10..20))).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Schema, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("table=trades"), "{change}: {error}");
        assert!(
            error.to_string().contains(named) || error.to_string().contains("Decimal(38, 8)"),
            "{change}: {error}"
        );
        assert_eq!(place.physical("trades").await, 10);
    }
}

#[tokio::test]
async fn a_schema_that_is_behind_or_ahead_is_told() {
    let place = servers::clickhouse();
    let mut tables = place.tables();
    tables.migrate = false;
    let locked = |place: &Clickhouse| qicore_sinks::Clickhouse::new(place.connection()).tables(tables.clone());
    let error = locked(&place).open(&WriterId::new("p", "s")).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Schema && error.to_string().contains("qicore schema clickhouse"),
        "{error}"
    );
    place.store().migrate().await.unwrap();
    locked(&place).open(&WriterId::new("p", "s")).await.unwrap();
    place
        .sql("INSERT INTO {db}.qicore_schema (version, name) VALUES (99, 'later')")
        .await;
    let error = sink(&place).open(&WriterId::new("p", "s")).await.unwrap_err();
    assert!(
        error.to_string().contains("version 99") && error.to_string().contains("update QiCore"),
        "{error}"
    );
}

/// Without books there is no table for them, and they are passed over.
#[tokio::test]
async fn books_are_left_out_where_they_are_not_wanted() {
    let place = servers::clickhouse();
    let mut tables = place.tables();
    tables.books = false;
    let sink = qicore_sinks::Clickhouse::new(place.connection()).tables(tables);
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    assert_eq!(held(&sink, "l").await, 0);
    assert_done(&sink.write(&delivery("l", 0, kinds())).await.unwrap());
    let there = "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'books'";
    assert_eq!(place.value::<u64>(there).await, 0);
    sink.close().await.unwrap();
    // Wanted later, the table is made.
    open(&place, "p").await;
    assert_eq!(place.value::<u64>(there).await, 1);
    let others: Vec<_> = kinds()
        .into_iter()
        .filter(|event| !matches!(event.data, Data::Book(_)))
        .collect();
    same(&place.all().await, &others);
}

#[tokio::test]
async fn a_lane_that_was_not_asked_for_is_not_begun_anew() {
    let place = servers::clickhouse();
    crate::put(&place, "p", market(1, 50).1).await;
    let sink = open(&place, "p").await;
    let error = sink.write(&delivery("lane", 50, trades(0..10))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
}

/// Tables of others that have one of our names are left alone, and nothing is made beside them.
#[tokio::test]
async fn somebody_elses_tables_are_left_alone() {
    for (name, create) in [
        ("ohlcv_daily", "(a Int32) ENGINE = MergeTree ORDER BY a"),
        ("trades", "(a Int32) ENGINE = MergeTree ORDER BY a"),
        ("qicore_lanes", "(a Int32) ENGINE = ReplacingMergeTree ORDER BY a"),
        ("qicore_schema", "(a Int32) ENGINE = MergeTree ORDER BY a"),
    ] {
        let place = servers::clickhouse();
        place.sql("CREATE DATABASE {db}").await;
        place.sql(&format!("CREATE TABLE {{db}}.{name} {create}")).await;
        place.sql(&format!("INSERT INTO {{db}}.{name} VALUES (7)")).await;
        let error = sink(&place).open(&WriterId::new("p", "s")).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Schema && error.to_string().contains(&format!("table={name}")),
            "{error}"
        );
        assert_eq!(place.value::<i32>(&format!("SELECT a FROM {{db}}.{name}")).await, 7);
        let tables = "SELECT count() FROM system.tables WHERE database = '{db}'";
        assert_eq!(place.value::<u64>(tables).await, 1);
    }
}

/// Rows were deleted by hand, and the lane is begun anew: what is sent again is taken.
#[tokio::test]
async fn rows_that_were_deleted_can_be_written_again() {
    let place = servers::clickhouse();
    crate::put(&place, "p", trades(0..100)).await;
    place
        .sql("ALTER TABLE {db}.trades DELETE WHERE 1 SETTINGS mutations_sync = 2")
        .await;
    place.sql("TRUNCATE TABLE {db}.qicore_lanes").await;
    crate::put(&place, "p", trades(0..100)).await;
    same(&place.all().await, &trades(0..100));
}
