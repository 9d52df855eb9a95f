//! Hours and days of bars: what a full recomputation gives, whatever was written twice.

use std::collections::BTreeMap;

use qicore_data::{Decimal, Event, Sink, Symbol, Timeframe, Timestamp};

use crate::servers::{self, Clickhouse};
use crate::{Random, assert_done, at, bar, candle, delivery, held, open};

type Rollup = (
    String,
    i64,
    Decimal,
    Decimal,
    Decimal,
    Decimal,
    Decimal,
    Decimal,
    u64,
    u64,
);

/// Minute bars of some symbols over three days, with holes.
fn minutes(random: &mut Random) -> Vec<Event> {
    let mut bars = Vec::new();
    for minute in 0..3 * 1440 {
        for symbol in ["BTC/USD", "ETH/USD", "1000SATS/USDT"] {
            if random.below(20) == 0 {
                continue;
            }
            let from = Timestamp::from_nanos(at("2026-02-27T00:00:00Z").nanos() + minute * 60_000_000_000);
            let mut bar = bar(
                symbol,
                Timeframe::M1,
                from,
                10_000 + random.below(500) as i64,
                10_000 + random.below(500) as i64,
            );
            bar.received = Some(Timestamp::from_nanos(from.nanos() + 61_000_000_000));
            bars.push(candle(&bar, |bar| {
                bar.volume = Decimal::new(random.below(1_000_000) as i64, 6);
                bar.trades = Some(random.below(50));
            }));
        }
    }
    bars
}

/// What the bars come to, computed here.
fn recomputed(bars: &[Event], length: Timeframe) -> Vec<Rollup> {
    let mut groups: BTreeMap<(Symbol, Timestamp), Vec<&Event>> = BTreeMap::new();
    for bar in bars {
        groups
            .entry((bar.symbol, length.floor(bar.timestamp)))
            .or_default()
            .push(bar);
    }
    let rollup = |((symbol, from), mut bars): ((Symbol, Timestamp), Vec<&Event>)| {
        bars.sort_by_key(|bar| bar.timestamp);
        let candles: Vec<_> = bars
            .iter()
            .map(|bar| match &bar.data {
                qicore_data::Data::Candle(candle) => candle,
                _ => panic!(),
            })
            .collect();
        let last = candles.len() - 1;
        (
            symbol.to_string(),
            from.nanos(),
            candles[0].open,
            candles.iter().map(|bar| bar.high).max().unwrap(),
            candles.iter().map(|bar| bar.low).min().unwrap(),
            candles[last].close,
            candles.iter().map(|bar| bar.volume).sum(),
            candles.iter().filter_map(|bar| bar.quote_volume).sum(),
            candles.iter().filter_map(|bar| bar.trades).sum(),
            candles.len() as u64,
        )
    };
    groups.into_iter().map(rollup).collect()
}

/// What the view says.
async fn told(place: &Clickhouse, view: &str) -> Vec<Rollup> {
    let sql = format!(
        "SELECT symbol, toUnixTimestamp64Nano(timestamp), arrayStringConcat([toString(open), toString(high), \
         toString(low), toString(close), toString(volume), toString(assumeNotNull(quote_volume))], ' '), \
         toUInt64(assumeNotNull(trades)), bars FROM {{db}}.{view} ORDER BY symbol, timestamp"
    );
    let rows: Vec<(String, i64, String, u64, u64)> = place.values(&sql).await;
    let row = |(symbol, from, numbers, trades, bars): (String, i64, String, u64, u64)| {
        let numbers: Vec<Decimal> = numbers.split(' ').map(|text| text.parse().unwrap()).collect();
        let [open, high, low, close, volume, quote_volume] = numbers.try_into().unwrap();
        (symbol, from, open, high, low, close, volume, quote_volume, trades, bars)
    };
    rows.into_iter().map(row).collect()
}

/// Every batch is sent twice, under other boundaries the second time and by another pipeline the third; one bar in twenty
/// is corrected; bars of other lengths and open ones are in the table, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_right_after_replays_and_corrections() {
    let place = servers::clickhouse();
    let mut random = Random(11);
    let mut bars = minutes(&mut random);
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    let mut after = 0;
    for part in bars.chunks(1000) {
        for _ in 0..2 {
            assert_done(&sink.write(&delivery("l", after, part.to_vec())).await.unwrap());
            after += part.len() as u64;
        }
    }
    let corrected: Vec<Event> = bars
        .iter_mut()
        .filter(|_| random.below(20) == 0)
        .map(|event| {
            let later = event.received.unwrap().nanos() + 3_600_000_000_000;
            let mut next = candle(event, |bar| {
                (bar.volume, bar.high) = (bar.volume + crate::d("1.5"), bar.high + crate::d("3"))
            });
            next.received = Some(Timestamp::from_nanos(later));
            *event = next.clone();
            next
        })
        .collect();
    assert!(corrected.len() > 500);
    for _ in 0..2 {
        assert_done(&sink.write(&delivery("l", after, corrected.clone())).await.unwrap());
        after += corrected.len() as u64;
    }
    // A replay of the history by another pipeline, with what was true before the corrections.
    let stale: Vec<Event> = corrected
        .iter()
        .map(|event| candle(event, |bar| bar.volume = crate::d("0")))
        .collect();
    let stale = stale.into_iter().map(|mut event| {
        event.received = Some(Timestamp::from_nanos(event.timestamp.nanos() + 61_000_000_000));
        event
    });
    crate::put(&place, "again", stale.collect()).await;
    let others = bars
        .iter()
        .step_by(7)
        .map(|event| candle(event, |bar| bar.timeframe = Timeframe::M5));
    let open_bars = bars.iter().step_by(9).map(|event| {
        let mut event = candle(event, |bar| bar.closed = false);
        event.received = Some(at("2026-12-01T00:00:00Z"));
        event
    });
    crate::put(&place, "others", others.chain(open_bars).collect()).await;
    assert!(
        place.physical("ohlcv").await > bars.len() as u64,
        "nothing lies there twice"
    );
    for (view, length) in [("ohlcv_daily", Timeframe::D1), ("ohlcv_hourly", Timeframe::H1)] {
        assert_eq!(told(&place, view).await, recomputed(&bars, length), "{view}");
    }
    place.sql("OPTIMIZE TABLE {db}.ohlcv FINAL").await;
    assert_eq!(
        told(&place, "ohlcv_daily").await,
        recomputed(&bars, Timeframe::D1),
        "after a merge"
    );
}

/// A condition on symbol and time reaches the table's key: not everything is read.
#[tokio::test]
async fn a_day_of_one_symbol_reads_little() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    place
        .sql(
            "INSERT INTO {db}.ohlcv (symbol, exchange, timeframe, timestamp, open, high, low, close, volume, closed, version) \
             SELECT concat('S', toString(number % 50), '/USD'), 'x', '1m', \
                    toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + toIntervalMinute(intDiv(number, 50)), 1, 2, 1, 2, 1, true, 1 \
             FROM numbers(1000000)",
        )
        .await;
    let plan = "EXPLAIN indexes = 1 SELECT * FROM {db}.ohlcv_daily \
                WHERE symbol = 'S7/USD' AND timestamp >= '2026-01-05' AND timestamp < '2026-01-06'";
    let lines: Vec<String> = place.values(plan).await;
    let granules: Vec<&String> = lines.iter().filter(|line| line.contains("Granules:")).collect();
    let read = granules
        .iter()
        .filter_map(|line| line.split(['/', ' ']).rev().nth(1)?.parse::<u64>().ok())
        .min();
    assert!(read.is_some_and(|read| read <= 4), "{lines:#?}");
}

/// Other bars as the source of the views.
#[tokio::test]
async fn days_of_hours() {
    let place = servers::clickhouse();
    let mut tables = place.tables();
    tables.rollup_from = Timeframe::H1;
    let sink = qicore_sinks::Clickhouse::new(place.connection()).tables(tables);
    sink.open(&qicore_data::WriterId::new("p", "s")).await.unwrap();
    assert_eq!(held(&sink, "l").await, 0);
    let bars: Vec<_> = (0..30)
        .map(|hour| {
            bar(
                "BTC/USD",
                Timeframe::H1,
                Timestamp::from_nanos(hour * 3_600_000_000_000),
                100,
                101,
            )
        })
        .collect();
    assert_done(&sink.write(&delivery("l", 0, bars.clone())).await.unwrap());
    assert_eq!(told(&place, "ohlcv_daily").await, recomputed(&bars, Timeframe::D1));
}
