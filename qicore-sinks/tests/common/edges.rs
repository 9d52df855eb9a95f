//! Values at the edges of what there is.

use std::sync::Arc;

use qicore_data::{
    Alert, Book, BookKind, Checksum, Decimal, Event, Gap, GapReason, Instrument, InstrumentKind, Level, Levels, Origin,
    Quality, Series, Severity, Side, Timeframe, Timestamp, Trade, TradeId,
};

use super::{at, bar, candle, d, event, label};

pub(crate) const NOW: &str = "2026-08-09T21:05:48.228568804Z";

pub(crate) fn trade(id: Option<TradeId>, at: Timestamp, price: Decimal) -> Event {
    let (side, size) = (Some(Side::Sell), d("0.10"));
    event("ETH/USD", at, Trade { id, side, price, size })
}

pub(crate) fn decimals() -> Vec<Event> {
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

pub(crate) fn times() -> Vec<Event> {
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

pub(crate) fn ids() -> Vec<Event> {
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

pub(crate) fn books() -> Vec<Event> {
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

pub(crate) fn series() -> Vec<Event> {
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

pub(crate) fn candles() -> Vec<Event> {
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

pub(crate) fn names() -> Vec<Event> {
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
