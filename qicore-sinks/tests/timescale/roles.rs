//! The sink as the role that the roles' script makes for it.

use sqlx::Executor;

use crate::servers::{Database, Own};
use crate::{assert_same, kinds, market, put, sink};
use qicore_data::{Event, Sink, WriterId};
use qicore_stores::timescale::roles;

/// Everything that a sink does: new rows, known rows, corrections.
async fn write_all(writer: &Database) -> Vec<Event> {
    let keyed = |event: &Event| {
        let shape = qicore_stores::timescale::Table::of(event.event_type());
        shape.is_some_and(|table| table.is_keyed())
    };
    let (events, trades) = (kinds(), market(1, 100).1);
    put(writer, "p", [events.clone(), trades.clone()].concat()).await;
    put(
        writer,
        "q",
        events.iter().filter(|event| keyed(event)).cloned().collect(),
    )
    .await;
    [events, trades].concat()
}

#[tokio::test]
async fn a_writer_needs_no_more_than_its_role() {
    let server = Own::postgres("");
    let place = Database::create(server.url(), "market").await;
    place.store().migrate().await.unwrap();
    place.sql(&roles(&place.tables())).await;
    place
        .sql("CREATE ROLE ingest LOGIN PASSWORD 'p' IN ROLE qicore_writer")
        .await;
    let writer = place.as_role("ingest", "p");
    let expected = write_all(&writer).await;
    assert_same(&writer.all().await, &expected);
    assert!(writer.store().health().await.unwrap().is_ready());
}

#[tokio::test]
async fn a_writer_of_hypertables_needs_no_more_than_its_role() {
    let server = Own::timescale();
    let place = server.database();
    place.store().migrate().await.unwrap();
    // This build of PostgreSQL can grant nothing on its database, and everyone may make temporary tables in it.
    let script = roles(&place.tables());
    let script: Vec<_> = script
        .lines()
        .filter(|line| !line.contains("GRANT TEMPORARY"))
        .collect();
    place.sql(&script.join("\n")).await;
    // The server lets everyone in as one user and has one session for all: its role is that of every connection, as
    // long as one of them is open.
    let mut session = place.connect().await;
    session.execute("SET ROLE qicore_writer").await.unwrap();
    let expected = write_all(&place).await;
    assert_same(&place.all().await, &expected);
    let error = place.try_sql("DROP TABLE ohlcv").await.unwrap_err().to_string();
    assert!(error.contains("must be owner"), "{error}");
    // Other policies are another role's to set.
    let mut tables = place.tables();
    tables.compress_after = "3 days".parse().unwrap();
    let other = sink(&place).tables(tables.clone());
    let error = other.open(&WriterId::new("p", "s")).await.unwrap_err();
    assert_eq!(error.kind(), qicore_data::ErrorKind::Unauthorized, "{error}");
    session.execute("SET ROLE qicore_migrator").await.unwrap();
    let migrator = sink(&place).tables(tables.clone());
    migrator.open(&WriterId::new("p", "s")).await.unwrap();
    session.execute("SET ROLE qicore_writer").await.unwrap();
    sink(&place)
        .tables(tables)
        .open(&WriterId::new("p", "s"))
        .await
        .unwrap();
}
