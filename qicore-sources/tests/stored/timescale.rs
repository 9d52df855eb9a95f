//! Rows of TimescaleDB and PostgreSQL, and the questions that applications ask.

use std::sync::Arc;

use qicore_data::{
    BatchLimit, Candle, Checkpoint, Content, Data, Decimal, ErrorKind, Event, EventType, Exchange, FromStart, Label,
    Lane, LaneEnd, Origin, Resume, Source, Symbol, Timeframe, Timestamp,
};
use qicore_sinks::Timescale;
use qicore_sources::TimescaleRows;
use qicore_stores::timescale::Missing;
use qicore_stream::Pipeline;
use qicore_stream::testkit::{Scripted, conformance};

use crate::servers::{self, Database, Own};
use crate::{all, assert_ordered_by_time, over_a_kill};

/// Stores a synthetic market, and gives what was stored.
async fn market(place: &Database, events: u64) -> Vec<Event> {
    crate::market(Timescale::new(place.connection()).tables(place.tables()), events).await
}

fn rows(place: &Database) -> TimescaleRows {
    TimescaleRows::new(place.connection())
        .schema(place.schema.as_str())
        .types([EventType::Trade, EventType::Candle])
}

fn sorted(events: &[Event]) -> Vec<String> {
    let mut lines: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    for place in servers::both().await {
        market(&place, 6000).await;
        conformance::source(|| Box::new(rows(&place))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gives_what_was_stored_in_the_order_of_time() {
    for place in servers::both().await {
        let stored = market(&place, 5000).await;
        let found = all(rows(&place)).await;
        assert_ordered_by_time(&found);
        assert_eq!(sorted(&found), sorted(&stored));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_selected() {
    let place = servers::postgres().await;
    let stored = market(&place, 8000).await;
    let symbol = stored[0].symbol;
    let bars = |event: &&Event| matches!(&event.data, Data::Candle(bar) if bar.timeframe == Timeframe::S1);
    let mut times: Vec<_> = stored.iter().filter(bars).map(|event| event.timestamp).collect();
    times.sort_unstable();
    let (from, to) = (times[times.len() / 4], times[times.len() / 2]);
    let source = rows(&place)
        .types([EventType::Candle])
        .symbols([symbol])
        .timeframe(Timeframe::S1)
        .between(from, to);
    let found = all(source).await;
    let expected: Vec<_> = stored
        .iter()
        .filter(bars)
        .filter(|event| event.symbol == symbol && (from..to).contains(&event.timestamp))
        .cloned()
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(sorted(&found), sorted(&expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_is_read() {
    let server = Own::postgres("");
    let place = server.database();
    let stored = market(&place, 100_000).await;
    let found = over_a_kill(rows(&place), &server).await;
    assert_eq!(found.len(), stored.len());
    assert!(sorted(&found) == sorted(&stored));
}

/// Holds one checkpoint for every lane.
struct Held(Checkpoint);

#[async_trait::async_trait]
impl Resume for Held {
    async fn checkpoint(&self, _lane: &Lane) -> qicore_data::Result<Option<Arc<Checkpoint>>> {
        Ok(Some(Arc::new(self.0.clone())))
    }
}

/// What another program has stored as trades: five rows that are no events, and one that is.
const FOREIGN: &str = "INSERT INTO trades (symbol, exchange, source, quality, timestamp, timestamp_ns, price, size, side) VALUES \
    ('A/B', 'x', 's', 'high', '-infinity', 0, 1, 1, 'buy'), ('A/B', 'x', 's', 'high', '0099-01-01Z', 0, 1, 1, 'buy'), \
    ('A/B', 'x', 's', 'high', '2026-01-01Z', 0, 'NaN', 1, 'buy'), ('A/B', 'x', 's', 'high', '2026-01-01Z', 0, 2, 1, 'buy'), \
    ('A/B', 'x', 's', 'high', '294270-01-01Z', 0, 1, 1, 'buy'), ('A/B', 'x', 's', 'high', 'infinity', 0, 1, 1, 'buy')";

/// Taken up anew behind every batch, as after a kill.
#[tokio::test]
async fn rows_that_are_no_events_become_dead_letters_and_hold_nothing_up() {
    let place = servers::postgres().await;
    let stored = market(&place, 2000).await;
    place.sql(FOREIGN).await;
    let (mut events, mut refused, mut held) = (Vec::new(), Vec::new(), None);
    loop {
        let mut source = rows(&place).types([EventType::Trade]);
        let resume: Arc<dyn Resume> = match held {
            Some(held) => Arc::new(Held(held)),
            None => Arc::new(FromStart),
        };
        source.open(resume).await.unwrap();
        let batch = source
            .next_batch(BatchLimit::new(300, usize::MAX))
            .await
            .unwrap()
            .unwrap();
        held = Some(Checkpoint::new(batch.lane.clone(), batch.position));
        if batch.end.is_some() {
            break;
        }
        match batch.content {
            Content::Events(more, _) => events.extend(more),
            Content::Frames(frames) => {
                let mut decoder = source.decoder(&batch.lane).unwrap();
                let reason = decoder.decode(&frames[0], &mut Vec::new()).unwrap_err();
                assert_eq!((frames.len(), reason.kind()), (1, ErrorKind::Decode));
                refused.push((
                    String::from_utf8(frames[0].payload.to_vec()).unwrap(),
                    reason.to_string(),
                ));
            }
            content => panic!("{content:?}"),
        }
        source.close().await.unwrap();
    }
    let told: Vec<_> = refused
        .iter()
        .map(|(row, reason)| (row.contains("\"table\":\"trades\""), reason))
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    for ((row, reason), wrong) in refused.iter().zip(["1677", "1677", "not a number", "1677", "1677"]) {
        assert!(row.contains("A/B") && reason.contains(wrong), "{row}: {reason}");
    }
    let trades: Vec<_> = stored
        .into_iter()
        .filter(|event| event.event_type() == EventType::Trade)
        .collect();
    let (foreign, ours): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.symbol.as_str() == "A/B");
    assert_eq!(foreign.len(), 1);
    assert_eq!(sorted(&ours), sorted(&trades));
}

#[tokio::test]
async fn candles_of_a_length_that_is_no_timeframe() {
    let place = servers::postgres().await;
    let stored = market(&place, 2000).await;
    let bars = stored
        .iter()
        .filter(|event| event.event_type() == EventType::Candle)
        .count();
    place
        .sql("UPDATE ohlcv SET timeframe = '1 mon 7 seconds' WHERE ctid = (SELECT min(ctid) FROM ohlcv)")
        .await;
    let mut source = rows(&place).types([EventType::Candle]);
    source.open(Arc::new(FromStart)).await.unwrap();
    let (mut sound, mut refused) = (0, 0);
    while let Some(batch) = source.next_batch(BatchLimit::default()).await.unwrap() {
        match batch.content {
            Content::Events(events, _) => sound += events.len(),
            Content::Frames(frames) => refused += frames.len(),
            content => panic!("{content:?}"),
        }
    }
    assert_eq!((sound, refused), (bars - 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_selection_is_not_taken_up_in_the_middle() {
    let place = servers::postgres().await;
    market(&place, 5000).await;
    let mut source = rows(&place).types([EventType::Trade]);
    source.open(Arc::new(FromStart)).await.unwrap();
    let batch = source
        .next_batch(BatchLimit::new(100, usize::MAX))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((batch.position.offset, batch.end), (100, None::<LaneEnd>));
    source.close().await.unwrap();

    let held = Held(Checkpoint::new(batch.lane, batch.position));
    let mut other = rows(&place).types([EventType::Trade]).symbols(["A/B".parse().unwrap()]);
    other.open(Arc::new(held)).await.unwrap();
    let error = other.next_batch(BatchLimit::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
}

#[tokio::test]
async fn a_database_without_the_tables() {
    let place = servers::postgres().await;
    let error = rows(&place).open(Arc::new(FromStart)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
}

fn bar(symbol: Symbol, minute: i64, close: i64) -> Event {
    let close = Decimal::new(close, 2);
    let candle = Candle {
        timeframe: Timeframe::M1,
        open: close,
        high: close,
        low: close,
        close,
        volume: Decimal::ONE,
        quote_volume: None,
        trades: None,
        closed: true,
        origin: Origin::Rest,
        revision: 0,
    };
    let (exchange, source) = (Exchange::new("x").unwrap(), Label::new("test").unwrap());
    Event::new(exchange, symbol, minutes(minute), source, candle)
}

fn minutes(minute: i64) -> Timestamp {
    Timestamp::from_nanos((28_000_000 + minute) * 60_000_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_of_applications() {
    for place in servers::both().await {
        let (a, b, x) = ("A/USD".parse().unwrap(), "B/USD".parse().unwrap(), "x".parse().unwrap());
        let there = [0, 1, 2, 5, 6, 9].map(|minute| bar(a, minute, 100 + minute));
        let bars = [&there[..], &[bar(b, 3, 77)]].concat();
        let source = Scripted::lanes([("bars", bars)], 3);
        let sink = Timescale::new(place.connection()).tables(place.tables());
        let pipeline = Pipeline::builder("bars").source(source).sink(sink).build().unwrap();
        pipeline.run().await.unwrap();

        let store = place.store();
        let latest = store.latest_candle(x, a, Timeframe::M1).await.unwrap();
        assert_eq!(latest, Some(bar(a, 9, 109)));
        assert_eq!(store.latest_candle(x, a, Timeframe::H1).await.unwrap(), None);
        let all = store.latest_candles(Timeframe::M1).await.unwrap();
        assert_eq!(all, [bar(a, 9, 109), bar(b, 3, 77)]);
        assert_eq!(
            store.latest_price(x, a).await.unwrap(),
            None,
            "no trade, ticker, quote or price is stored"
        );

        let missing = store
            .missing_candles(x, a, Timeframe::M1, minutes(-1), minutes(12))
            .await
            .unwrap();
        let run = |from, to| Missing {
            from: minutes(from),
            to: minutes(to),
            bars: (to - from + 1) as u64,
        };
        assert_eq!(missing, [run(-1, -1), run(3, 4), run(7, 8), run(10, 11)]);
        store.close().await;
    }
}

/// The newest bars of a few symbols are found without reading all the others that are stored.
#[tokio::test]
async fn the_latest_candles_are_found_by_the_index() {
    let place = servers::postgres().await;
    place.store().migrate().await.unwrap();
    // A year of minutes for each of three symbols, and a bar of a day for two of them.
    let series = "INSERT INTO ohlcv (symbol, exchange, timeframe, timestamp, open, high, low, close, volume, closed, origin, \
                  revision, source, quality) SELECT symbol, 'x', CAST(timeframe AS interval), at, 1, 1, 1, 1, 0, true, \
                  'rest', 0, 't', 'high' FROM unnest(string_to_array('";
    let minutes = "A/USD,B/USD,C/USD', ',')) symbol, (VALUES ('1 minute')) frame (timeframe), \
                   generate_series(timestamptz '2025-01-01Z', '2025-03-01Z', '1 minute') at";
    let days = "A/USD,C/USD', ',')) symbol, (VALUES ('1 day')) frame (timeframe), \
                generate_series(timestamptz '2025-01-01Z', '2025-01-03Z', '1 day') at; ANALYZE ohlcv";
    place.sql(&format!("{series}{minutes}")).await;
    place.sql(&format!("{series}{days}")).await;
    let reads = "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relname = 'ohlcv'";
    let scans = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes WHERE relname = 'ohlcv'";
    let counted = async |than: i64| {
        // Sessions tell what they have read when they end.
        for _ in 0..400 {
            let scans: i64 = place.value(scans).await;
            if scans > than {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        (place.value::<i64>(reads).await, place.value::<i64>(scans).await)
    };
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let before = counted(-1).await;
    let store = place.store();
    let found = store.latest_candles(Timeframe::D1).await.unwrap();
    store.close().await;
    let symbols: Vec<_> = found
        .iter()
        .map(|event| (event.symbol.as_str(), event.timestamp.to_string()))
        .collect();
    let last = "2025-01-03T00:00:00Z".to_owned();
    assert_eq!(symbols, [("A/USD", last.clone()), ("C/USD", last)]);
    let after = counted(before.1).await;
    assert!(after.1 > before.1, "the index was not used: {before:?}, {after:?}");
    assert!(
        after.0 - before.0 < 100,
        "read {} entries for two rows",
        after.0 - before.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_price_is_the_newest_event_that_tells_one() {
    let place = servers::postgres().await;
    let stored = market(&place, 5000).await;
    let trades = stored.iter().filter(|event| event.event_type() == EventType::Trade);
    let newest = trades.clone().max_by_key(|event| event.timestamp).unwrap();
    let store = place.store();
    let found = store
        .latest_price(newest.exchange, newest.symbol)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.timestamp, newest.timestamp);
    let latest = store.latest_prices().await.unwrap();
    let mut symbols: Vec<_> = trades.map(|event| event.symbol).collect();
    symbols.sort_unstable();
    symbols.dedup();
    assert_eq!(latest.iter().map(|event| event.symbol).collect::<Vec<_>>(), symbols);
    store.close().await;
}
