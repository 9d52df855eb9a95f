//! Rows that come again, and rows that correct others.

use std::collections::BTreeMap;

use qicore_data::{Event, EventType, Timeframe, Timestamp};

use crate::servers;
use crate::{Random, at, bar, candle, kinds, market, put, same};

const NINE: &str = "2026-08-09T09:00:00Z";

/// A bar that was received at a second of the day.
fn received(event: &Event, second: i64) -> Event {
    let mut event = event.clone();
    event.received = Some(Timestamp::from_nanos(at(NINE).nanos() + second * 1_000_000_000));
    event
}

#[tokio::test]
async fn the_newest_of_several_bars_stays_in_whatever_order_they_come() {
    let first = received(&bar("BTC/USD", Timeframe::M1, at(NINE), 100, 110), 61);
    let open = candle(&received(&first, 90), |bar| bar.closed = false);
    let corrected = received(&candle(&first, |bar| bar.volume = crate::d("9.75")), 70);
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let place = servers::clickhouse();
        let all = [first.clone(), open.clone(), corrected.clone()];
        for at in order {
            put(&place, &format!("p{at}"), vec![all[at].clone()]).await;
        }
        same(&place.events(EventType::Candle).await, std::slice::from_ref(&corrected));
        // In one delivery, too.
        let together = servers::clickhouse();
        put(&together, "p", order.map(|at| all[at].clone()).to_vec()).await;
        same(
            &together.events(EventType::Candle).await,
            std::slice::from_ref(&corrected),
        );
    }
}

#[tokio::test]
async fn of_bars_without_a_time_of_receipt_the_last_correction_stays() {
    let place = servers::clickhouse();
    let first = bar("BTC/USD", Timeframe::M1, at(NINE), 100, 110);
    let twice = candle(&first, |bar| (bar.revision, bar.volume) = (2, crate::d("7")));
    let once = candle(&first, |bar| bar.revision = 1);
    put(&place, "p", vec![first.clone(), twice.clone(), once]).await;
    same(&place.events(EventType::Candle).await, std::slice::from_ref(&twice));
    // The same revision again says something else: the last one counts.
    let last = candle(&twice, |bar| bar.volume = crate::d("8"));
    put(&place, "p", vec![last.clone()]).await;
    same(&place.events(EventType::Candle).await, &[last]);
}

/// Another pipeline with the same rows: what has a key of the venue's is there once, the rest is another observation.
#[tokio::test]
async fn keyed_rows_of_two_pipelines_are_one() {
    let place = servers::clickhouse();
    put(&place, "one", kinds()).await;
    put(&place, "two", kinds()).await;
    let unkeyed = [EventType::Quote, EventType::Ticker, EventType::Book, EventType::Alert];
    let again: Vec<_> = kinds()
        .into_iter()
        .filter(|event| unkeyed.contains(&event.event_type()))
        .collect();
    same(&place.all().await, &[kinds(), again].concat());
}

/// Rows that come again after a restart that knew nothing of them: they have the numbers that they had.
#[tokio::test]
async fn rows_of_a_lane_that_is_begun_anew_take_their_own_places() {
    let place = servers::clickhouse();
    let (_, events) = market(1, 500);
    put(&place, "p", events.clone()).await;
    // As if the note had been lost, which a power failure can do.
    place.sql("TRUNCATE TABLE {db}.qicore_lanes").await;
    let sink = crate::open(&place, "p").await;
    assert_eq!(crate::held(&sink, "lane").await, 0);
    // In other batches than before.
    for (number, part) in events.chunks(130).enumerate() {
        let delivery = crate::delivery("lane", 130 * number as u64, part.to_vec());
        crate::assert_done(&qicore_data::Sink::write(&sink, &delivery).await.unwrap());
    }
    same(&place.all().await, &events);
}

/// Bars of few keys in random order, from two writers at a time. What stays is what was received last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_with_overlapping_rows() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    let written = |writer: u64| {
        let mut random = Random(writer);
        let rows = (0..3000).map(|_| {
            let symbol = format!("S{}/USD", random.below(7));
            let timeframe = [Timeframe::M1, Timeframe::M5, Timeframe::D1][random.below(3) as usize];
            let from = timeframe.floor(Timestamp::from_nanos(random.below(40) as i64 * 60_000_000_000));
            let at = 4_000 * random.below(1 << 40) as i64 + writer as i64;
            let mut bar = bar(&symbol, timeframe, from, 100, at % 9_999_991);
            bar.received = Some(Timestamp::from_nanos(at));
            bar
        });
        rows.collect::<Vec<_>>()
    };
    let all: Vec<_> = [1, 2].map(written).into();
    let tasks = (0..).zip(all.clone()).map(|(writer, rows)| {
        let place = place.clone();
        tokio::spawn(async move {
            for part in rows.chunks(250) {
                put(&place, &format!("writer {writer}"), part.to_vec()).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut newest = BTreeMap::new();
    for event in all.concat() {
        let qicore_data::Data::Candle(candle) = &event.data else {
            panic!()
        };
        let key = (event.symbol, candle.timeframe, event.timestamp);
        let kept = newest.entry(key).or_insert_with(|| event.clone());
        if event.received > kept.received {
            *kept = event;
        }
    }
    same(
        &place.events(EventType::Candle).await,
        &newest.into_values().collect::<Vec<_>>(),
    );
}
