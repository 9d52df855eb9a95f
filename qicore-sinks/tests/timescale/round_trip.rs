//! What is written is what is read, to the last digit.

use std::sync::Arc;

use qicore_data::{
    Alert, Book, BookKind, Candle, Checksum, Data, Decimal, Event, Gap, GapReason, Instrument, InstrumentKind, Level,
    Levels, Origin, Quality, Series, Severity, Side, Timeframe, Timestamp, Trade, TradeId,
};

use crate::{assert_same, at, bar, candle, d, event, kinds, label, put, servers};

const NOW: &str = "2026-08-09T21:05:48.228568804Z";

fn trade(id: Option<TradeId>, at: Timestamp, price: Decimal) -> Event {
    let (side, size) = (Some(Side::Sell), d("0.10"));
    event("ETH/USD", at, Trade { id, side, price, size })
}

fn decimals() -> Vec<Event> {
    let prices = [
        "1234567890123456789012345678",
        "1.2345678901234567890123456789",
        "79228162514264337593543950335",
        "-79228162514264337593543950335",
        "7.9228162514264337593543950335",
        "0.0000000000000000000000000001",
        "-0.0000000000000000000000000001",
        "-0.50",
        "1.5000",
        "100.00000000",
        "10000",
        "100000000",
        "99990000.00010000",
        "0.00010000",
        "0",
        "0.00",
        "0.0000000000000000000000000000",
    ];
    let trade = |(id, price): (u64, &str)| trade(Some(id.into()), at(NOW), d(price));
    (1000..).zip(prices).map(trade).collect()
}

fn times() -> Vec<Event> {
    let nanos = [
        i64::MIN,
        i64::MIN + 1,
        -1_000_000_001,
        -1_000,
        -999,
        -1,
        0,
        1,
        999,
        1_000,
        1_001,
        946_684_800_000_000_000,
        946_684_799_999_999_999,
        i64::MAX - 1,
        i64::MAX,
    ];
    let nanos = (0u64..).zip(nanos);
    nanos
        .map(|(id, nanos)| {
            let at = Timestamp::from_nanos(nanos);
            let mut event = trade(Some((2000 + id).into()), at, d("1"));
            event.received = (id % 2 == 0).then_some(at);
            event
        })
        .collect()
}

fn ids() -> Vec<Event> {
    let id = |text: &str| Some(TradeId::new(text));
    [
        id("0"),
        id("18446744073709551615"),
        id("007"),
        id("a-b\u{1F4C8}\"\\"),
        None,
    ]
    .into_iter()
    .map(|id| trade(id, at(NOW), d("2.0")))
    .collect()
}

fn books() -> Vec<Event> {
    let level = |price: &str, size: &str| Level::new(d(price), d(size));
    let deep: Vec<_> = (0..1000)
        .map(|at| Level::new(Decimal::new(at, 3), Decimal::new(7 * at, 8)))
        .collect();
    let sides: [(&[Level], &[Level]); 4] = [
        (&[], &[]),
        (&[level("1.10", "0")], &[]),
        (&[], &[level("1.2", "3"), level("1.1", "-0.0")]),
        (&deep, &deep[..17]),
    ];
    let book = |(at_ns, (bids, asks)): (i64, (&[Level], &[Level]))| Book {
        kind: if at_ns == 0 {
            BookKind::Snapshot
        } else {
            BookKind::Delta
        },
        sequence: (at_ns > 1).then_some(i64::MAX as u64),
        levels: Levels::new(bids, asks),
        checksum: (at_ns > 2).then_some(Checksum::Mismatch),
    };
    let at = |nanos| Timestamp::from_nanos(at(NOW).nanos() + nanos);
    (0..)
        .zip(sides)
        .map(|(nanos, sides)| event("ETH/USD", at(nanos), book((nanos, sides))))
        .collect()
}

fn series() -> Vec<Event> {
    let nested = r#"{"a":{"b":[1,2.50,null,true,{"c":"\"\\\n\u00e9"}]},"period":14,"z":-0.125}"#;
    let params = [None, Some(r#"{"period":14}"#), Some(r#"{"period":15}"#), Some(nested)];
    let params = params.map(|text| text.map(|text| Arc::new(serde_json::from_str(text).unwrap())));
    let of = |params| Series {
        name: label("bollinger"),
        value: d("0.30"),
        params,
    };
    params
        .into_iter()
        .map(|params| event("ETH/USD", at(NOW), of(params)))
        .collect()
}

fn candles() -> Vec<Event> {
    let bars = Timeframe::ALL.iter().zip(0u32..).map(|(timeframe, revision)| {
        let mut bar = bar("ETH/USD", *timeframe, timeframe.floor(at(NOW)), 100, 90);
        bar.received = Some(at(NOW));
        bar.quality = Quality::Medium;
        candle(&bar, |candle| {
            candle.closed = revision % 3 > 0;
            candle.origin = [Origin::Rest, Origin::Websocket, Origin::Built][revision as usize % 3];
            candle.revision = if revision == 7 { u32::MAX } else { revision };
            candle.trades = (revision % 2 == 0).then_some(0);
        })
    });
    bars.collect()
}

fn names() -> Vec<Event> {
    use GapReason::{Checksum, Disconnect, Overflow, Provider, Sequence};
    use InstrumentKind::{Forex, Future, Index, Option, Perpetual, Spot, Stock};
    let (from, to) = (at(NOW), at("2026-08-09T21:06:00.000000001Z"));
    let gap = |reason| {
        let missed = None;
        event(
            "ETH/USD",
            to,
            Gap {
                from,
                to,
                reason,
                missed,
            },
        )
    };
    let instrument = |kind| Instrument {
        native: label("ETHUSD"),
        base: label("ETH"),
        quote: label("USD"),
        kind,
        active: false,
        price_step: None,
        size_step: Some(d("0.00010")),
    };
    let alert = |severity| Alert {
        rule: label("größe"),
        severity,
        message: "\u{7f}\t\u{1F600} '; DROP TABLE alerts; --".into(),
        value: None,
        threshold: Some(d("-1.0")),
    };
    let gaps = [Disconnect, Sequence, Checksum, Overflow, Provider].map(gap);
    let instruments = [Spot, Perpetual, Future, Option, Stock, Forex, Index].map(instrument);
    let alerts = [Severity::Info, Severity::Warning, Severity::Critical].map(alert);
    let others = instruments.map(|data| event("ETH/USD", at(NOW), data)).into_iter();
    let others = others.chain(alerts.map(|data| event("ETH/USD", at(NOW), data)));
    gaps.into_iter().chain(others).collect()
}

#[tokio::test]
async fn every_kind_comes_back_as_it_was() {
    let edges = [decimals(), times(), ids(), books(), series(), candles(), names()].concat();
    let events = [kinds(), edges].concat();
    for place in servers::both().await {
        put(&place, "p", events.clone()).await;
        assert_same(&place.all().await, &events);
    }
}

/// A few rows go in one statement, as JSON.
#[tokio::test]
async fn single_rows_come_back_as_they_were() {
    let edges = [decimals(), times(), ids(), books(), series(), candles(), names()].concat();
    let events = [kinds(), edges].concat();
    for place in servers::both().await {
        let sink = crate::open(&place, "p").await;
        // The first delivery of a lane makes its row.
        for (after, event) in (0..).zip(&events) {
            let delivery = crate::delivery("lane", after, vec![event.clone()]);
            crate::assert_done(&qicore_data::Sink::write(&sink, &delivery).await.unwrap());
        }
        assert_same(&place.all().await, &events);
    }
}

#[tokio::test]
async fn rows_that_are_merged_come_back_as_they_were() {
    for place in servers::both().await {
        let known = |event: &Event| {
            !matches!(
                event.data,
                Data::Quote(_) | Data::Ticker(_) | Data::Book(_) | Data::Alert(_)
            )
        };
        let events: Vec<_> = kinds().into_iter().filter(known).collect();
        put(&place, "first", events.clone()).await;
        let more = [decimals(), times(), series(), candles()].concat();
        // The first rows are known, which sends all of them by way of the staging table.
        put(&place, "second", [events.clone(), more.clone()].concat()).await;
        assert_same(&place.all().await, &[events, more].concat());
    }
}

#[tokio::test]
async fn a_long_delivery_comes_back_whole_and_in_order() {
    let place = servers::postgres().await;
    let events = qicore_stream::testkit::trades(0..50_000);
    put(&place, "p", events.clone()).await;
    assert!(place.events(qicore_data::EventType::Trade).await == events);
}

#[tokio::test]
async fn rows_of_one_time_keep_the_order_of_their_arrival() {
    // Ids that are texts come in any order.
    let named = |price: i64| (price % 2 == 1).then(|| TradeId::new(&format!("x{}", price * 7919 % 1009)));
    let trade = |price| trade(named(price), at(NOW), Decimal::new(price, 2));
    for trades in [
        (1..1000).step_by(2).map(trade).collect::<Vec<_>>(),
        (0..1000).step_by(2).map(trade).collect(),
    ] {
        let place = servers::postgres().await;
        put(&place, "p", trades[..200].to_vec()).await;
        put(&place, "p", trades[200..].to_vec()).await;
        assert!(place.events(qicore_data::EventType::Trade).await == trades);
    }
}

#[tokio::test]
async fn a_sink_of_some_types_passes_the_others_over() {
    let place = servers::postgres().await;
    let sink = crate::sink(&place).only([qicore_data::EventType::Candle]);
    qicore_data::Sink::open(&sink, &qicore_data::WriterId::new("p", "s"))
        .await
        .unwrap();
    let receipt = qicore_data::Sink::write(&sink, &crate::delivery("l", 0, kinds()))
        .await
        .unwrap();
    crate::assert_done(&receipt);
    let is_candle = |event: &Event| matches!(event.data, Data::Candle(Candle { .. }));
    let candles: Vec<_> = kinds().into_iter().filter(is_candle).collect();
    assert_same(&place.all().await, &candles);
}
