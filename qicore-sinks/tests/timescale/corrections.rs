//! Rows that are there already, and rows that correct them.

use std::sync::Arc;

use qicore_data::{
    Candle, Data, Event, EventType, Gap, GapReason, Instrument, InstrumentKind, Series, Timeframe, Timestamp, Trade,
    TradeId,
};
use qicore_stream::testkit::trades;

use crate::servers::Database;
use crate::{Random, assert_same, at, bar, candle, d, event, kinds, label, put, servers};

const START: &str = "2026-03-01T00:00:00Z";

fn minute(number: i64, close: i64) -> Event {
    let from = Timestamp::from_nanos(at(START).nanos() + number * 60_000_000_000);
    bar("BTC/USD", Timeframe::M1, from, 100, close)
}

pub(crate) fn received(mut event: Event, second: i64) -> Event {
    event.received = Some(Timestamp::from_nanos(at(START).nanos() + second * 1_000_000_000));
    event
}

/// Every value of every keyed table, housekeeping columns included.
async fn image(place: &Database) -> Vec<String> {
    let mut rows = Vec::new();
    for table in ["ohlcv", "trades", "prices", "series", "gaps", "instruments"] {
        let sql = format!(
            "SELECT row_to_json(row)::text FROM {} AS row ORDER BY 1",
            place.table(table)
        );
        rows.extend(place.values::<String>(&sql).await);
    }
    rows
}

#[tokio::test]
async fn known_rows_change_nothing() {
    let keyed = |event: &Event| {
        let kinds = [EventType::Quote, EventType::Ticker, EventType::Book, EventType::Alert];
        !kinds.contains(&event.event_type())
    };
    let events: Vec<_> = kinds().into_iter().filter(keyed).chain(trades(0..50)).collect();
    for place in servers::both().await {
        put(&place, "first", events.clone()).await;
        let before = image(&place).await;
        // Later, by another way: what they say is the same.
        let again = events.iter().cloned().map(|mut event| {
            event.received = Some(at("2027-01-01T00:00:00Z"));
            event.source = label("elsewhere");
            event
        });
        put(&place, "second", again.collect()).await;
        put(&place, "third", events.clone()).await;
        assert_eq!(image(&place).await, before);
    }
}

#[tokio::test]
async fn known_and_new_rows_of_one_delivery_are_told_apart() {
    for place in servers::both().await {
        put(&place, "first", trades(0..100)).await;
        put(&place, "second", trades(50..150)).await;
        assert_same(&place.all().await, &trades(0..150));
    }
}

#[tokio::test]
async fn newer_bars_correct_and_older_ones_do_not() {
    for place in servers::both().await {
        let [kept, newer, older] = [(105, 5), (110, 9), (95, 1)].map(|(close, at)| received(minute(0, close), at));
        let revised = |revision, close| candle(&minute(1, close), |candle| candle.revision = revision);
        put(&place, "p", vec![kept, revised(1, 105)]).await;
        put(&place, "p", vec![older, revised(0, 95)]).await;
        let expected = [received(minute(0, 105), 5), revised(1, 105)];
        assert_same(&place.events(EventType::Candle).await, &expected);
        let touched = "SELECT count(*) FROM ohlcv WHERE updated_at > created_at";
        assert_eq!(place.value::<i64>(touched).await, 0);
        put(&place, "p", vec![newer.clone(), revised(2, 110)]).await;
        assert_same(&place.events(EventType::Candle).await, &[newer, revised(2, 110)]);
        assert_eq!(place.value::<i64>(touched).await, 2);
    }
}

#[tokio::test]
async fn an_open_bar_never_replaces_a_closed_one() {
    let place = servers::postgres().await;
    let open_bar = |close, second| received(candle(&minute(0, close), |candle| candle.closed = false), second);
    for (row, left) in [
        (open_bar(101, 1), open_bar(101, 1)),
        (open_bar(102, 2), open_bar(102, 2)),
        // Whatever was received later: the result is not to depend on the order in which they come.
        (received(minute(0, 103), 1), received(minute(0, 103), 1)),
        (open_bar(104, 4), received(minute(0, 103), 1)),
    ] {
        put(&place, "p", vec![row]).await;
        assert_same(&place.events(EventType::Candle).await, &[left]);
    }
}

#[tokio::test]
async fn other_kinds_are_corrected_by_what_was_received_later() {
    let place = servers::postgres().await;
    let change = |event: &Event, second| {
        let mut event = received(event.clone(), second);
        match &mut event.data {
            Data::Trade(trade) => trade.price += d("1"),
            Data::Price(price) => price.price += d("1"),
            Data::Series(series) => series.value += d("1"),
            Data::Gap(gap) => gap.missed = Some(second as u64),
            Data::Instrument(instrument) => instrument.active = false,
            _ => {}
        }
        event
    };
    let some = [EventType::Trade, EventType::Price, EventType::Series, EventType::Gap];
    let events: Vec<_> = kinds()
        .into_iter()
        .filter(|event| some.contains(&event.event_type()))
        .collect();
    let first: Vec<_> = events.iter().map(|event| received(event.clone(), 5)).collect();
    put(&place, "p", first.clone()).await;
    put(&place, "p", events.iter().map(|event| change(event, 4)).collect()).await;
    assert_same(&place.all().await, &first);
    let corrected: Vec<_> = events.iter().map(|event| change(event, 6)).collect();
    put(&place, "p", corrected.clone()).await;
    assert_same(&place.all().await, &corrected);
}

fn instrument(second: i64, active: bool) -> Event {
    let data = Instrument {
        native: label("XBTUSD"),
        base: label("BTC"),
        quote: label("USD"),
        kind: InstrumentKind::Spot,
        active,
        price_step: None,
        size_step: None,
    };
    event("BTC/USD", Timestamp::from_nanos(second * 1_000_000_000), data)
}

#[tokio::test]
async fn the_newest_description_of_an_instrument_is_kept() {
    let place = servers::postgres().await;
    put(&place, "p", vec![instrument(5, true)]).await;
    put(&place, "p", vec![instrument(4, false)]).await;
    assert_same(&place.all().await, &[instrument(5, true)]);
    put(&place, "p", vec![instrument(6, false)]).await;
    assert_same(&place.all().await, &[instrument(6, false)]);
}

/// Deliveries in which one key comes several times, with the rows that are to be left of them.
fn doubled() -> Vec<(Vec<Event>, Vec<Event>)> {
    let noon = at("2026-03-01T12:00:00.000000001Z");
    let trade = |id: &str, price: &str| {
        let (id, side, size) = (Some(TradeId::new(id)), None, d("1"));
        let price = d(price);
        event("BTC/USD", noon, Trade { id, side, price, size })
    };
    let beyond = |mut event: Event| {
        event.timestamp = Timestamp::from_nanos(noon.nanos() + 1);
        event
    };
    let series = |period: u32, value: &str| {
        let params = serde_json::from_str(&format!("{{\"period\":{period}}}")).unwrap();
        let (params, name) = (Some(Arc::new(params)), label("rsi"));
        let value = d(value);
        event("BTC/USD", noon, Series { name, value, params })
    };
    let with_params = |params: &str, value: i64| {
        let (params, name) = (serde_json::from_str(params).unwrap(), label("rsi"));
        let (params, value) = (Some(Arc::new(params)), d(&value.to_string()));
        event("BTC/USD", noon, Series { name, value, params })
    };
    let gap = |second: i64, missed| {
        let (from, to) = (at(START), noon);
        let (reason, missed) = (GapReason::Sequence, Some(missed));
        event(
            "BTC/USD",
            Timestamp::from_nanos(second),
            Gap {
                from,
                to,
                reason,
                missed,
            },
        )
    };
    let open_bar = candle(&minute(0, 102), |Candle { closed, .. }| *closed = false);
    vec![
        (vec![minute(0, 101), minute(0, 103), open_bar], vec![minute(0, 103)]),
        (
            vec![trade("7", "1"), trade("8", "1"), trade("7", "2")],
            vec![trade("7", "2"), trade("8", "1")],
        ),
        (
            vec![trade("a", "1"), trade("b", "1"), trade("a", "2")],
            vec![trade("a", "2"), trade("b", "1")],
        ),
        (
            vec![trade("9", "1"), beyond(trade("9", "2"))],
            vec![beyond(trade("9", "2"))],
        ),
        (
            vec![series(1, "1"), series(2, "1"), series(1, "2")],
            vec![series(1, "2"), series(2, "1")],
        ),
        (
            vec![with_params("{\"a\":1}", 1), with_params("{\"a\":1.0}", 2)],
            vec![with_params("{\"a\":1.0}", 2)],
        ),
        (vec![gap(1, 1), gap(2, 2)], vec![gap(2, 2)]),
        (
            vec![instrument(3, true), instrument(2, false)],
            vec![instrument(3, true)],
        ),
    ]
}

#[tokio::test]
async fn a_key_that_comes_twice_in_one_delivery_leaves_the_newest_row() {
    for (events, left) in doubled() {
        let [first, second] = [servers::postgres().await, servers::postgres().await];
        put(&first, "p", events.clone()).await;
        assert_same(&first.all().await, &left);
        // Known rows go another way.
        put(&second, "before", left.clone()).await;
        put(&second, "p", events).await;
        assert_same(&second.all().await, &left);
    }
}

/// Three versions of many keys, which differ in what makes a row newer.
fn versions() -> [Vec<Event>; 3] {
    let mut random = Random(11);
    let mut version = |version: i64| -> Vec<Event> {
        let row = |key: i64| {
            let mut row = match key % 3 {
                0 => candle(&minute(key, 100 + version), |candle| {
                    (candle.revision, candle.closed) = (random.below(3) as u32, random.below(2) == 1);
                }),
                1 => event(
                    "BTC/USD",
                    at(START),
                    Trade {
                        id: Some(TradeId::from(key as u64)),
                        side: None,
                        price: d("1"),
                        size: d(&(1 + version).to_string()),
                    },
                ),
                _ => {
                    let mut row = instrument(random.below(3) as i64, version % 2 == 0);
                    if let Data::Instrument(instrument) = &mut row.data {
                        instrument.native = label(&format!("N{key}"));
                        instrument.price_step = Some(d(&(1 + version).to_string()));
                    }
                    row
                }
            };
            let received = [None, Some(1_000), Some(1_001), Some(2_000)][random.below(4) as usize];
            row.received = received.map(Timestamp::from_nanos);
            row
        };
        (0..600).map(row).collect()
    };
    [version(0), version(1), version(2)]
}

/// Rows of one key are folded before they are sent, by the rule that the database has for rows that are there.
#[tokio::test]
async fn one_delivery_leaves_what_several_would() {
    let [together, apart] = [servers::postgres().await, servers::postgres().await];
    put(&together, "p", versions().concat()).await;
    for version in versions() {
        put(&apart, "p", version).await;
    }
    let left = apart.all().await;
    assert_eq!(left.len(), 600);
    assert_same(&together.all().await, &left);
}

#[tokio::test]
async fn equal_trades_without_an_id_are_all_kept() {
    let mut trade = trades(0..1).remove(0);
    if let Data::Trade(trade) = &mut trade.data {
        trade.id = None;
    }
    let three = vec![trade; 3];
    for place in servers::both().await {
        put(&place, "p", three.clone()).await;
        put(&place, "p", three.clone()).await;
        assert_same(&place.all().await, &[three.clone(), three.clone()].concat());
    }
}
