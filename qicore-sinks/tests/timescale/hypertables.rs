//! What TimescaleDB adds: compressed chunks that still take rows, and the hours and days.

use std::collections::BTreeMap;

use qicore_data::{Candle, Data, Decimal, Event, EventType, Timeframe, Timestamp};
use qicore_stream::testkit::trades;

use crate::servers::{self, Database};
use crate::{Random, assert_same, at, bar, candle, put};

const MINUTE: i64 = 60_000_000_000;

fn bars(symbol: &str, timeframe: Timeframe, step: i64, range: std::ops::Range<i64>) -> Vec<Event> {
    let start = at("2026-01-05T00:00:00Z").nanos();
    let mut random = Random(range.start as u64);
    let mut bar = |number| {
        let (open, close) = (random.below(1000) as i64 + 100, random.below(1000) as i64 + 100);
        bar(
            symbol,
            timeframe,
            Timestamp::from_nanos(start + number * step),
            open,
            close,
        )
    };
    range.map(&mut bar).collect()
}

async fn compress(place: &Database, table: &str) {
    let chunks = format!(
        "SELECT count(compress_chunk(chunk)) FROM show_chunks('{}') AS chunk",
        place.table(table)
    );
    assert!(place.value::<i64>(&chunks).await > 0);
}

#[tokio::test]
async fn compressed_chunks_take_late_rows_and_corrections() {
    let place = servers::timescale().await;
    let minutes = bars("BTC/USD", Timeframe::M1, MINUTE, 0..600);
    let (first, late) = (minutes[..500].to_vec(), minutes[500..].to_vec());
    put(&place, "p", [first.clone(), trades(0..500)].concat()).await;
    compress(&place, "ohlcv").await;
    compress(&place, "trades").await;
    // Known rows change nothing, new ones are added, corrections are made.
    put(&place, "again", [first[..50].to_vec(), trades(300..600)].concat()).await;
    put(&place, "p", [late.clone(), trades(600..700)].concat()).await;
    let corrected: Vec<_> = first[100..120]
        .iter()
        .map(|bar| candle(bar, |candle| (candle.revision, candle.volume) = (1, Decimal::from(77))))
        .collect();
    put(&place, "p", corrected.clone()).await;
    let expected = [&first[..100], &corrected, &first[120..], &late, &trades(0..700)].concat();
    assert_same(&place.all().await, &expected);
    let touched = "SELECT count(*) FROM ohlcv WHERE updated_at > created_at";
    assert_eq!(place.value::<i64>(touched).await, 20);
    compress(&place, "ohlcv").await;
    assert_same(&place.all().await, &expected);
}

/// A backfill that comes again finds everything compressed, far more than TimescaleDB lets one transaction decompress by
/// default.
#[tokio::test]
async fn a_large_backfill_may_come_again_into_compressed_chunks() {
    // It would hold up all others on the shared one.
    let server = servers::Own::timescale();
    let place = server.database();
    let symbols = [
        "A/USD", "B/USD", "C/USD", "D/USD", "E/USD", "F/USD", "G/USD", "H/USD", "I/USD", "J/USD", "K/USD",
    ];
    let all: Vec<_> = symbols
        .iter()
        .flat_map(|symbol| bars(symbol, Timeframe::M1, MINUTE, 0..10_000))
        .collect();
    let mut expected = all.clone();
    put(&place, "p", all).await;
    compress(&place, "ohlcv").await;
    // One row in each thousand, over all symbols.
    let mut corrected: Vec<_> = expected.iter_mut().step_by(500).collect();
    for event in &mut corrected {
        **event = candle(event, |candle| candle.revision = 1);
    }
    let corrected: Vec<_> = corrected.into_iter().map(|event| event.clone()).collect();
    put(&place, "q", corrected).await;
    assert_same(&place.events(EventType::Candle).await, &expected);
}

/// What a longer bar says of the closed minutes in it.
fn sums(events: &[Event], length: i64) -> BTreeMap<i64, Vec<Decimal>> {
    let mut minutes: Vec<(i64, &Candle)> = events
        .iter()
        .filter_map(|event| match &event.data {
            Data::Candle(bar) if bar.timeframe == Timeframe::M1 && bar.closed => Some((event.timestamp.nanos(), bar)),
            _ => None,
        })
        .collect();
    minutes.sort_by_key(|(at, _)| *at);
    let mut sums: BTreeMap<i64, Vec<Decimal>> = BTreeMap::new();
    for (at, bar) in minutes {
        let new = || vec![bar.open, bar.high, bar.low, bar.close, Decimal::ZERO, Decimal::ZERO];
        let sum = sums
            .entry(at.div_euclid(length) * length / 1_000_000_000)
            .or_insert_with(new);
        (sum[1], sum[2], sum[3]) = (sum[1].max(bar.high), sum[2].min(bar.low), bar.close);
        (sum[4], sum[5]) = (sum[4] + bar.volume, sum[5] + Decimal::ONE);
    }
    sums
}

async fn stored_sums(place: &Database, view: &str) -> BTreeMap<i64, Vec<Decimal>> {
    let sql = format!(
        "SELECT concat_ws(' ', extract(epoch FROM timestamp)::bigint, open, high, low, close, volume, bars) FROM {}",
        place.table(view)
    );
    let rows = place.values::<String>(&sql).await;
    let row = |row: String| {
        let mut values = row.split(' ').map(|value| value.parse::<Decimal>().unwrap());
        let at = values.next().unwrap().mantissa() as i64;
        (at, values.collect())
    };
    rows.into_iter().map(row).collect()
}

async fn refresh(place: &Database) {
    if place.schema == "public" {
        return;
    }
    for view in ["ohlcv_1h", "ohlcv_1d"] {
        place
            .sql(&format!(
                "CALL refresh_continuous_aggregate('{}', NULL, NULL)",
                place.table(view)
            ))
            .await;
    }
}

#[tokio::test]
async fn hours_and_days_are_those_of_the_closed_minutes() {
    for place in servers::both().await {
        let symbol = "BTC/USD";
        let mut events = bars(symbol, Timeframe::M1, MINUTE, 0..3000);
        // Bars of other lengths count for nothing here, nor does one that is still open, and there is a hole.
        events.drain(200..290);
        events.extend(bars(symbol, Timeframe::M5, 5 * MINUTE, 0..600));
        events.extend(bars(symbol, Timeframe::S1, MINUTE / 60, 0..600));
        let open = candle(&bars(symbol, Timeframe::M1, MINUTE, 3000..3001)[0], |candle| {
            candle.closed = false
        });
        events.push(open);
        put(&place, "p", events.clone()).await;
        let right = async |events: &[Event]| {
            assert_eq!(stored_sums(&place, "ohlcv_1h").await, sums(events, 60 * MINUTE));
            assert_eq!(stored_sums(&place, "ohlcv_1d").await, sums(events, 1440 * MINUTE));
        };
        right(&events).await;
        refresh(&place).await;
        right(&events).await;
        // A correction in the part that is refreshed shows after the next refresh.
        events[700] = candle(&events[700], |candle| {
            (candle.high, candle.volume, candle.revision) = (Decimal::from(9999), Decimal::from(5), 1);
        });
        put(&place, "p", vec![events[700].clone()]).await;
        refresh(&place).await;
        right(&events).await;
    }
}
