//! Several writers of the same rows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qicore_data::{Event, EventType, Sink, Symbol, Timeframe, Timestamp};
use qicore_sinks::Timescale;

use crate::servers::{self, Database};
use crate::{Random, assert_done, assert_same, bar, delivery, held, market, open};

/// Bars of few keys in random order. No two of them were received at the same time, and what they say follows from when
/// they were received: whichever way they are written, the one that was received last is left.
fn overlapping(random: &mut Random, writer: i64) -> Vec<Event> {
    let bar = |_| {
        let symbol = format!("S{}/USD", random.below(7));
        let timeframe = [Timeframe::M1, Timeframe::M5, Timeframe::D1][random.below(3) as usize];
        let from = timeframe.floor(Timestamp::from_nanos(random.below(40) as i64 * 60_000_000_000));
        let received = 4_000 * random.below(1 << 40) as i64 + 1_000 * writer;
        let mut bar = bar(&symbol, timeframe, from, 100, received % 9_999_991);
        bar.received = Some(Timestamp::from_nanos(received));
        bar
    };
    (0..300).map(bar).collect()
}

type Key = (Symbol, Timeframe, Timestamp);

fn key(event: &Event) -> Key {
    match &event.data {
        qicore_data::Data::Candle(candle) => (event.symbol, candle.timeframe, event.timestamp),
        data => panic!("{data:?}"),
    }
}

/// Writes for some time; gives all that was written.
async fn write(sink: Timescale, writer: i64, until: Instant) -> Vec<Event> {
    let (mut random, mut after, mut all) = (Random(writer as u64), 0, Vec::new());
    assert_eq!(held(&sink, "lane").await, 0);
    while Instant::now() < until {
        let events = overlapping(&mut random, writer);
        let receipt = sink.write(&delivery("lane", after, events.clone())).await;
        assert_done(&receipt.unwrap_or_else(|error| panic!("writer {writer}: {error:?}")));
        after += events.len() as u64;
        all.extend(events);
    }
    sink.close().await.unwrap();
    all
}

async fn together(place: &Database, writers: i64, seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for writer in 0..writers {
        let sink = open(place, &format!("writer {writer}")).await;
        tasks.push(tokio::spawn(write(sink, writer, until)));
    }
    let mut newest = BTreeMap::new();
    for task in tasks {
        for event in task.await.unwrap() {
            let kept = newest.entry(key(&event)).or_insert_with(|| event.clone());
            if event.received > kept.received {
                *kept = event;
            }
        }
    }
    let expected: Vec<_> = newest.into_values().collect();
    assert_same(&place.events(EventType::Candle).await, &expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_that_write_the_same_bars_meet_no_deadlock() {
    together(&servers::postgres().await, 4, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_that_write_the_same_bars_into_a_hypertable() {
    together(&servers::timescale().await, 2, 3).await;
}

#[tokio::test]
async fn sinks_and_pipelines_of_other_names_keep_positions_of_their_own() {
    let place = servers::postgres().await;
    let (_, events) = market(1, 10);
    for (pipeline, lane) in [("a", "l"), ("a", "m"), ("b", "l")] {
        let sink = open(&place, pipeline).await;
        assert_eq!(held(&sink, lane).await, 0);
        assert_done(&sink.write(&delivery(lane, 0, events.clone())).await.unwrap());
        assert_eq!(held(&sink, lane).await, 10);
        sink.close().await.unwrap();
    }
    assert_eq!(place.count("qicore_lanes").await, 3);
}
