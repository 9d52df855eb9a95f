//! Rows that a database refuses, are told by name and reason; all others are written.

use std::sync::Arc;

use qicore_data::{
    Alert, Book, BookKind, Data, DeadLetter, Decimal, Delivery, ErrorKind, Event, Lane, Levels, Payload, Series,
    Severity, Sink, TradeId, WriterId,
};
use qicore_stream::testkit::trades;

use crate::servers::{self, Database};
use crate::{assert_done, assert_same, at, d, delivery, event, held, label, market, open, pipeline, sink};

fn trade(id: u64, price: &str) -> Event {
    let mut event = trades(id..id + 1).remove(0);
    if let Data::Trade(trade) = &mut event.data {
        trade.price = d(price);
    }
    event
}

fn with_id(id: &str) -> Event {
    let mut event = trade(0, "1");
    if let Data::Trade(trade) = &mut event.data {
        trade.id = Some(TradeId::new(id));
    }
    event
}

fn alert(message: &str) -> Event {
    let alert = Alert {
        rule: label("r"),
        severity: Severity::Info,
        message: message.into(),
        value: None,
        threshold: None,
    };
    event("BTC/USD", at("2026-01-01T00:00:00Z"), alert)
}

fn series(params: &str) -> Event {
    let params = Some(Arc::new(serde_json::from_str(params).unwrap()));
    let (name, value) = (label("s"), Decimal::ONE);
    event("BTC/USD", at("2026-01-01T00:00:00Z"), Series { name, value, params })
}

fn book(sequence: u64) -> Event {
    let book = Book {
        kind: BookKind::Delta,
        sequence: Some(sequence),
        levels: Levels::new(&[], &[]),
        checksum: None,
    };
    event("BTC/USD", at("2026-01-01T00:00:00Z"), book)
}

/// Writes a delivery of sound rows with refused ones between them; gives the reasons, in order, once the sound ones are
/// durable and the refused ones are not.
async fn refused(place: &Database, sound: Vec<Event>, refused: Vec<Event>) -> Vec<String> {
    refused_by("", place, sound, refused).await
}

/// As [`refused`], by rules that somebody sets once the sink is open.
async fn refused_by(rules: &str, place: &Database, sound: Vec<Event>, refused: Vec<Event>) -> Vec<String> {
    let sink = open(place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    if !rules.is_empty() {
        place.sql(rules).await;
    }
    let (mut events, mut places) = (sound.clone(), Vec::new());
    for (number, row) in refused.into_iter().enumerate() {
        let place = (7 * number + 3).min(events.len());
        events.insert(place, row);
        places.push(place);
    }
    let offset = events.len() as u64;
    let receipt = sink.write(&delivery("l", 0, events)).await.unwrap();
    assert!(receipt.staged, "durable before the refused rows are put away");
    let mut rejected = receipt.rejected;
    rejected.sort_by_key(|row| row.index);
    let found: Vec<_> = rejected.iter().map(|row| row.index).collect();
    assert_eq!(found, places, "{rejected:?}");
    assert!(rejected.iter().all(|row| row.error.kind() == ErrorKind::Rejected));
    assert_same(&place.all().await, &[]);
    sink.flush(&Lane::new("l")).await.unwrap();
    assert_eq!(held(&sink, "l").await, offset);
    assert_same(&place.all().await, &sound);
    sink.close().await.unwrap();
    rejected.iter().map(|row| row.error.to_string()).collect()
}

#[track_caller]
fn assert_told(reasons: &[String], told: &[&str]) {
    assert_eq!(reasons.len(), told.len());
    for (reason, told) in reasons.iter().zip(told) {
        assert!(reason.contains(told), "{reason} does not tell of {told}");
    }
}

#[tokio::test]
async fn values_that_no_column_holds() {
    for place in servers::both().await {
        let rows = vec![
            alert("a\0b"),
            with_id("a\0b"),
            series("{\"a\":\"\\u0000\"}"),
            series("{\"a\\u0000\":1}"),
            book(u64::MAX),
        ];
        let reasons = refused(&place, trades(0..100), rows).await;
        let bigint = "18446744073709551615 is more than a bigint holds";
        assert_told(&reasons, &["NUL", "NUL", "Unicode escape", "Unicode escape", bigint]);
    }
}

#[tokio::test]
async fn columns_and_constraints_of_ones_own() {
    let place = servers::postgres().await;
    let own = "ALTER TABLE trades ADD CONSTRAINT sane CHECK (price < 5000); \
               ALTER TABLE trades ALTER COLUMN size TYPE numeric(6,3)";
    let mut large = trade(5001, "2");
    if let Data::Trade(trade) = &mut large.data {
        trade.size = d("1000");
    }
    let rows = vec![
        trade(5000, "5000"),
        large,
        trade(5002, "9999"),
        trade(5003, "79228162514264337593543950335"),
    ];
    let reasons = refused_by(own, &place, trades(0..200), rows).await;
    assert_told(&reasons, &["sane", "numeric field overflow", "sane", "sane"]);
}

/// A column that somebody has made shorter would round what is written into it.
#[tokio::test]
async fn columns_that_are_not_as_they_were_made_are_told_at_the_opening() {
    for (change, told) in [
        ("ALTER TABLE trades ALTER COLUMN price TYPE numeric(12,2)", "price"),
        (
            "ALTER TABLE ohlcv ALTER COLUMN timestamp TYPE timestamptz(0)",
            "timestamp(0)",
        ),
        ("ALTER TABLE quotes ALTER COLUMN bid TYPE float8", "double precision"),
        ("ALTER TABLE books DROP COLUMN bids", "bids"),
        ("DROP TABLE series", "series"),
        ("ALTER TABLE qicore_lanes DROP COLUMN generation", "generation"),
        ("ALTER TABLE trades DROP CONSTRAINT trades_key", "trades_key"),
    ] {
        let place = servers::postgres().await;
        open(&place, "before").await.close().await.unwrap();
        // The views are made of the candles.
        place.sql("DROP VIEW ohlcv_1d; DROP VIEW ohlcv_1h").await;
        place.sql(change).await;
        let error = crate::sink(&place).open(&WriterId::new("p", "s")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
        assert!(error.to_string().contains(told), "{error}");
        // Columns of one's own are nobody else's business.
        let own = servers::postgres().await;
        open(&own, "before").await.close().await.unwrap();
        own.sql("ALTER TABLE trades ADD COLUMN note text").await;
        open(&own, "p").await.close().await.unwrap();
    }
}

#[tokio::test]
async fn triggers_of_ones_own() {
    for place in servers::both().await {
        open(&place, "before").await.close().await.unwrap();
        // The last of them names the row by nothing but itself.
        let own = "CREATE FUNCTION sane() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                       IF NEW.price >= 5000 THEN RAISE EXCEPTION 'insane' USING ERRCODE = 'check_violation'; END IF;
                       IF NEW.size >= 5000 THEN RAISE EXCEPTION 'a house rule'; END IF;
                       ASSERT NEW.price <> 4999, 'not this price';
                       RETURN NEW;
                   END $$;
                   CREATE TRIGGER sane BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION sane()";
        place.sql(own).await;
        let mut large = trade(5001, "2");
        if let Data::Trade(trade) = &mut large.data {
            trade.size = d("7000");
        }
        let reasons = refused(
            &place,
            trades(0..200),
            vec![trade(5000, "5000"), large, trade(5002, "4999")],
        )
        .await;
        assert_told(&reasons, &["insane", "a house rule", "not this price"]);
    }
}

#[tokio::test]
async fn rows_beside_known_ones() {
    let place = servers::postgres().await;
    crate::put(&place, "before", trades(0..100)).await;
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT sane CHECK (price < 5000)")
        .await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let mut events = trades(50..150);
    events.insert(70, trade(5000, "5000"));
    events.insert(20, trade(5001, "5000"));
    let receipt = sink.write(&delivery("l", 0, events)).await.unwrap();
    let mut found: Vec<_> = receipt.rejected.iter().map(|row| row.index).collect();
    found.sort_unstable();
    assert_eq!(found, [20, 71]);
    sink.flush(&Lane::new("l")).await.unwrap();
    assert_same(&place.all().await, &trades(0..150));
}

#[tokio::test]
async fn every_row() {
    let place = servers::postgres().await;
    open(&place, "before").await.close().await.unwrap();
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT never CHECK (price < 0)")
        .await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let receipt = sink.write(&delivery("l", 0, trades(0..500))).await.unwrap();
    assert_eq!(receipt.rejected.len(), 500);
    sink.flush(&Lane::new("l")).await.unwrap();
    assert_eq!((held(&sink, "l").await, place.count("trades").await), (500, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_puts_them_into_the_dead_letters() {
    let place = servers::postgres().await;
    open(&place, "before").await.close().await.unwrap();
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT odd CHECK (id::bigint % 100 <> 7)")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.jsonl");
    let (source, events) = market(3, 1000);
    let builder = pipeline("p", source, sink(&place)).dead_letters(&path);
    let stats = builder.build().unwrap().run().await.unwrap().stats;
    let odd = |event: &Event| match &event.data {
        Data::Trade(trade) => matches!(trade.id, Some(TradeId::Number(id)) if id % 100 == 7),
        _ => false,
    };
    let (refused, sound): (Vec<_>, Vec<_>) = events.into_iter().partition(odd);
    assert_eq!(stats.sinks[0].rejected, refused.len() as u64);
    assert_same(&place.all().await, &sound);
    let letters = std::fs::read_to_string(path).unwrap();
    let letters = letters
        .lines()
        .map(|line| serde_json::from_str::<DeadLetter>(line).unwrap());
    let told = letters.map(|letter| {
        assert!(letter.error.contains("odd"), "{}", letter.error);
        match letter.payload {
            Payload::Event { event } => *event,
            payload => panic!("{payload:?}"),
        }
    });
    assert_same(&told.collect::<Vec<_>>(), &refused);
}

#[tokio::test]
async fn a_row_that_is_refused_after_it_was_taken_does_not_vanish() {
    let place = servers::postgres().await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let staged = Delivery::of(Lane::new("l"), 0, 100, trades(0..100));
    let receipt = sink.write(&staged).await.unwrap();
    assert!(receipt.staged && receipt.rejected.is_empty());
    place
        .sql("ALTER TABLE trades ADD CONSTRAINT late CHECK (id <> '42')")
        .await;
    // The row is not one of this delivery, so there is no telling it by its place.
    let error = match sink.write(&delivery("l", 100, trades(100..200))).await {
        Ok(receipt) => {
            assert!(receipt.staged && receipt.rejected.is_empty(), "{receipt:?}");
            sink.flush(&Lane::new("l")).await.unwrap_err()
        }
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(place.count("trades").await, 0);
    drop(sink);
    // A restart has it refused by name.
    let again = open(&place, "p").await;
    assert_eq!(held(&again, "l").await, 0);
    let receipt = again.write(&delivery("l", 0, trades(0..200))).await.unwrap();
    assert_eq!(receipt.rejected.iter().map(|row| row.index).collect::<Vec<_>>(), [42]);
    again.flush(&Lane::new("l")).await.unwrap();
    assert_eq!(place.count("trades").await, 199);
}

#[tokio::test]
async fn refused_rows_of_a_store_that_is_closed_before_the_flush_come_again() {
    let place = servers::postgres().await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let events = [trades(0..10), vec![alert("a\0b")]].concat();
    assert!(sink.write(&delivery("l", 0, events.clone())).await.unwrap().staged);
    let error = sink.close().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Abandoned, "{error}");
    let again = open(&place, "p").await;
    assert_eq!(held(&again, "l").await, 0);
    assert_eq!(again.write(&delivery("l", 0, events)).await.unwrap().rejected.len(), 1);
    again.flush(&Lane::new("l")).await.unwrap();
    assert_same(&place.all().await, &trades(0..10));
}

/// Rows that another program has written.
#[tokio::test]
async fn foreign_rows_that_are_no_events_are_told_at_the_reading() {
    let insert = |columns: &str, values: &str| {
        format!(
            "INSERT INTO trades (symbol, exchange, source, quality, {columns}) VALUES ('A/B', 'x', 's', 'high', {values})"
        )
    };
    let usual = "timestamp, timestamp_ns, price, size";
    for (columns, values, told) in [
        (usual, "'infinity', 0, 1, 1", "1677"),
        (usual, "'-infinity', 0, 1, 1", "1677"),
        (usual, "'9999-01-01', 0, 1, 1", "1677"),
        (usual, "'2026-01-01', 0, 'NaN', 1", "not a number"),
        (usual, "'2026-01-01', 0, 1, 1e40", "digits"),
        (
            "timestamp, timestamp_ns, price, size, side",
            "'2026-01-01', 0, 1, 1, 'both'",
            "both",
        ),
    ] {
        let place = servers::postgres().await;
        place.store().migrate().await.unwrap();
        place.sql(&insert(columns, values)).await;
        let store = place.store();
        let selection = qicore_stores::timescale::Selection::of(qicore_data::EventType::Trade);
        let error = store
            .read(&selection, None, qicore_data::BatchLimit::default())
            .unwrap()
            .all()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        let text = error.to_string();
        assert!(text.contains(told) && text.contains("table=trades"), "{text}");
        // What is written beside it is not held up.
        let sink = open(&place, "p").await;
        sink.open(&WriterId::new("p", "sink")).await.unwrap();
        assert_eq!(held(&sink, "l").await, 0);
        assert_done(&sink.write(&delivery("l", 0, trades(0..10))).await.unwrap());
    }
}
