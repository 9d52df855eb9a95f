//! Refused rows among many, and rows that stand for others.

use qicore_data::{Data, Event, EventType, Sink, TradeId};
use qicore_stream::testkit::trades;

use crate::corrections::received;
use crate::servers::{self, Database};
use crate::{assert_same, at, delivery, event, open};

/// Writes a delivery of which some rows are refused, flushes, and gives the places of the refused.
async fn write(place: &Database, events: Vec<Event>) -> Vec<usize> {
    let sink = open(place, "p").await;
    let receipt = sink.write(&delivery("lane", 0, events)).await.unwrap();
    assert!(receipt.staged);
    assert_eq!(place.count("trades").await, 0, "nothing is durable before the letters");
    sink.flush(&qicore_data::Lane::new("lane")).await.unwrap();
    sink.close().await.unwrap();
    let mut places: Vec<_> = receipt.rejected.iter().map(|row| row.index).collect();
    places.sort_unstable();
    places
}

#[tokio::test]
async fn every_row_of_a_full_delivery() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT none CHECK (price < 0)")
        .await;
    assert_eq!(write(&place, trades(0..20_000)).await.len(), 20_000);
    assert_eq!(place.count("trades").await, 0);
}

/// Every third, runs of them, and single ones far apart.
#[tokio::test]
async fn refused_rows_anywhere_in_a_delivery() {
    let places = (0..3_000).step_by(3).chain(5_000..5_700).chain([7_000, 15_998, 15_999]);
    let (place, expected) = (servers::postgres().await, places.collect::<Vec<_>>());
    place.store().migrate().await.unwrap();
    let list = expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let rule = format!("ALTER TABLE trades ADD CONSTRAINT not_these CHECK (id::int <> ALL ('{{{list}}}'))");
    place.sql(&rule).await;
    let rows = trades(0..16_000);
    assert_eq!(write(&place, rows.clone()).await, expected);
    let sound: Vec<_> = rows
        .into_iter()
        .enumerate()
        .filter(|(at, _)| expected.binary_search(at).is_err())
        .collect();
    assert_same(
        &place.all().await,
        &sound.into_iter().map(|(_, row)| row).collect::<Vec<_>>(),
    );
}

/// A statement for each row would be a subtransaction, and an id of its own, for each.
#[tokio::test]
async fn one_refused_row_costs_few_transaction_ids() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT one CHECK (id <> '15000')")
        .await;
    let next = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
    let before: i64 = place.value(next).await;
    assert_eq!(write(&place, trades(0..20_000)).await, [15_000]);
    let used = place.value::<i64>(next).await - before;
    // Other tests use the server, too.
    assert!(used < 5_000, "{used} transaction ids");
}

#[tokio::test]
async fn one_of_many_that_a_trigger_refuses() {
    for place in servers::both().await {
        place.store().migrate().await.unwrap();
        let rule = "CREATE FUNCTION rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        -- The error's context names this function's line before that of the copy.
                        IF NEW.id = '8000' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'UQ001'; END IF;
                        RETURN NEW;
                    END $$;
                    CREATE TRIGGER rule BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION rule()";
        place.sql(rule).await;
        assert_eq!(write(&place, trades(0..9_000)).await, [8000]);
        assert_eq!(place.count("trades").await, 8_999);
    }
}

#[tokio::test]
async fn a_constraint_that_waits_for_the_commit() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    let rule = "CREATE FUNCTION rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF NEW.id = '7' THEN RAISE EXCEPTION 'not this one'; END IF;
                    RETURN NULL;
                END $$;
                CREATE CONSTRAINT TRIGGER rule AFTER INSERT ON trades DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION rule()";
    place.sql(rule).await;
    assert_eq!(write(&place, trades(0..50)).await, [7]);
    // A single row goes in one statement.
    let sink = open(&place, "p").await;
    let lane = qicore_data::Lane::new("single");
    let first = sink.write(&delivery("single", 0, trades(100..101))).await.unwrap();
    assert!(!first.staged);
    let receipt = sink.write(&delivery("single", 1, trades(7..8))).await.unwrap();
    assert_eq!(receipt.rejected.len(), 1);
    sink.flush(&lane).await.unwrap();
    assert_eq!(place.count("trades").await, 50);
}

fn with_id(id: &str, second: i64) -> Event {
    let mut event = received(
        event("BTC/USD", at("2026-01-03T00:00:00Z"), trades(0..1).remove(0).data),
        second,
    );
    if let Data::Trade(trade) = &mut event.data {
        trade.id = Some(TradeId::new(id));
    }
    event
}

/// Of rows with one key one is chosen. Where it is refused the others are neither lost nor in the way.
#[tokio::test]
async fn rows_that_stand_for_others() {
    let place = servers::postgres().await;
    let bad = || with_id("a\u{0}b", 1);
    let places = write(&place, vec![bad(), with_id("1", 1), bad(), bad()]).await;
    assert_eq!(places, [0, 2, 3]);
    assert_same(&place.events(EventType::Trade).await, &[with_id("1", 1)]);
}

#[tokio::test]
async fn a_refused_row_that_comes_thousands_of_times() {
    let place = servers::postgres().await;
    let events = vec![with_id("a\u{0}b", 1); 10_000];
    assert_eq!(write(&place, events).await.len(), 10_000);
}

#[tokio::test]
async fn an_older_row_is_written_where_the_newer_one_is_refused() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT small CHECK (size < 1000)")
        .await;
    let mut large = with_id("1", 9);
    if let Data::Trade(trade) = &mut large.data {
        trade.size = qicore_data::Decimal::from(5000);
    }
    assert_eq!(write(&place, vec![with_id("1", 3), large]).await, [1]);
    assert_same(&place.events(EventType::Trade).await, &[with_id("1", 3)]);
}

#[tokio::test]
async fn instruments_that_come_again_in_one_delivery() {
    let place = servers::postgres().await;
    let sink = open(&place, "p").await;
    let one = crate::kinds()
        .into_iter()
        .find(|event| event.event_type() == EventType::Instrument)
        .unwrap();
    let listed = |number: i64, second: i64| {
        let mut event = one.clone();
        event.timestamp = qicore_data::Timestamp::from_nanos(second * 1_000_000_000);
        if let Data::Instrument(instrument) = &mut event.data {
            instrument.native = crate::label(&format!("N{number}"));
        }
        event
    };
    let twice: Vec<_> = (0..2)
        .flat_map(|second| (0..6000).map(move |number| (number, second)))
        .collect();
    let events = twice
        .into_iter()
        .map(|(number, second)| listed(number, second))
        .collect();
    crate::assert_done(&sink.write(&delivery("lane", 0, events)).await.unwrap());
    assert_eq!(place.count("instruments").await, 6000);
    let newest = place
        .value::<i64>("SELECT count(*) FROM instruments WHERE timestamp = '1970-01-01 00:00:01Z'")
        .await;
    assert_eq!(newest, 6000);
}
