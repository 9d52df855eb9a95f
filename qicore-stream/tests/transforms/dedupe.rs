//! Which events are duplicates.

use std::sync::Arc;

use proptest::prelude::*;
use qicore_data::{
    BookKind, Data, Event, EventType, Exchange, GapReason, Instrument, InstrumentKind, Label, Price, Quality, Series,
    Symbol, Ticker, TradeId, Transform,
};
use qicore_stream::transform::{Dedupe, DedupeConfig};

use crate::common::{apply, at, book, candle, event, gap, number, print, quote, session, symbol, trade};

fn fresh() -> Dedupe {
    Dedupe::new(DedupeConfig::default()).unwrap()
}

/// Which of the events pass.
fn passing(mut dedupe: Dedupe, events: &[Event]) -> Vec<bool> {
    let mut one = |event: &Event| apply(&mut dedupe, vec![event.clone()]).events.len() == 1;
    events.iter().map(&mut one).collect()
}

/// The second event is a duplicate of the first, or not.
#[track_caller]
fn expect(one: &Event, two: &Event, duplicate: bool) {
    assert_eq!(
        passing(fresh(), &[one.clone(), two.clone()]),
        [true, !duplicate],
        "{two:?}"
    );
}

fn of(data: impl Into<Data>) -> Event {
    event(symbol(0), 60_000, data)
}

#[test]
fn how_an_event_came_never_counts() {
    let instrument = Instrument {
        native: "XBTUSD".parse().unwrap(),
        base: "BTC".parse().unwrap(),
        quote: "USD".parse().unwrap(),
        kind: InstrumentKind::Spot,
        active: true,
        price_step: Some(number("0.1")),
        size_step: None,
    };
    let series = Series {
        name: "rsi".parse().unwrap(),
        value: number("50"),
        params: Some(Arc::default()),
    };
    let price = Price {
        price: number("1"),
        market_cap: None,
        volume_24h: None,
        change_24h: None,
    };
    let alert = qicore_data::Alert {
        rule: "r".parse().unwrap(),
        severity: qicore_data::Severity::Info,
        message: "m".into(),
        value: None,
        threshold: None,
    };
    let all = [
        of(trade(Some(1), "1", "1")),
        of(quote("1", "1", "2", "1")),
        of(Ticker::new(number("5"))),
        of(book(BookKind::Snapshot, Some(4), &[("1", "1")], &[])),
        of(candle(["1", "1", "1", "1"], true)),
        of(price),
        of(instrument),
        of(series),
        of(gap(1, 2, GapReason::Overflow)),
        of(alert),
    ];
    assert_eq!(all.each_ref().map(Event::event_type), *EventType::ALL);
    for event in &all {
        let mut again = event.clone();
        again.received = Some(at(99));
        again.source = Label::new("elsewhere").unwrap();
        expect(event, &again, true);
        again.symbol = Symbol::new("OTHER/USD").unwrap();
        expect(event, &again, false);
        again.symbol = event.symbol;
        again.exchange = Exchange::new("other").unwrap();
        expect(event, &again, false);
    }
    let passed = passing(fresh(), &all);
    assert_eq!(passed, [true; 10], "kinds do not meet");
}

#[test]
fn trades_go_by_id() {
    let one = of(trade(Some(64), "1", "1"));
    expect(&one, &of(trade(Some(64), "2", "3")), true);
    expect(&one, &of(trade(Some(65), "1", "1")), false);
    expect(&one, &of(trade(Some(0), "1", "1")), false);
    let text = |id: &str| {
        let mut trade = trade(None, "1", "1");
        trade.id = Some(TradeId::new(id));
        of(trade)
    };
    expect(&text("064"), &text("064"), true);
    expect(&one, &text("064"), false);
    expect(&text("a"), &text("b"), false);
}

#[test]
fn trades_without_an_id_pass_unless_asked_otherwise() {
    let twice = [print(1, "1.50", "1"), print(1, "1.5", "1"), print(2, "1.5", "1")];
    assert_eq!(passing(fresh(), &twice), [true, true, true]);
    let by_content = Dedupe::new(DedupeConfig::default().trades_without_id(true)).unwrap();
    assert_eq!(passing(by_content, &twice), [true, false, true]);
}

#[test]
fn corrections_of_a_candle_pass() {
    let open = of(candle(["1", "1", "1", "1"], false));
    let higher = of(candle(["1", "2", "1", "1"], false));
    let closed = of(candle(["1", "2", "1", "1"], true));
    let mut marked = closed.clone();
    marked.quality = Quality::Low;
    let back = open.clone();
    let events = [
        open,
        higher.clone(),
        higher,
        closed.clone(),
        closed,
        marked,
        back.clone(),
        back,
    ];
    let expected = [true, true, false, true, false, true, true, false];
    assert_eq!(passing(fresh(), &events), expected);
}

#[test]
fn only_a_repeated_quote_is_a_duplicate() {
    let quotes = ["1", "1.0", "2", "1"].map(|bid| of(quote(bid, "1", "3", "1")));
    assert_eq!(passing(fresh(), &quotes), [true, false, true, true]);
    let later = event(symbol(0), 60_001, quote("1", "1", "3", "1"));
    expect(&quotes[0], &later, false);
}

#[test]
fn books_go_by_sequence_and_content() {
    let delta = |sequence, size| of(book(BookKind::Delta, sequence, &[("1", size)], &[]));
    expect(&delta(Some(1), "5"), &delta(Some(1), "5"), true);
    expect(&delta(Some(1), "5"), &delta(Some(1), "6"), false);
    expect(&delta(Some(1), "5"), &delta(Some(2), "5"), false);
    expect(&delta(None, "5"), &delta(None, "5"), false);
    let ask = of(book(BookKind::Delta, Some(1), &[], &[("1", "5")]));
    expect(&delta(Some(1), "5"), &ask, false);
    let snapshot = of(book(BookKind::Snapshot, Some(1), &[("1", "5")], &[]));
    expect(&delta(Some(1), "5"), &snapshot, false);
}

#[test]
fn the_window_is_bounded_for_each_kind() {
    let narrow = || Dedupe::new(DedupeConfig::default().window(2)).unwrap();
    let id = |id: u64| of(trade(Some(id * 64), "1", "1"));
    assert_eq!(
        passing(narrow(), &[id(1), id(2), id(1), id(3), id(1)]),
        [true, true, false, true, true]
    );
    let q = of(quote("1", "1", "3", "1"));
    let mixed = [q.clone(), id(1), id(2), id(3), id(4), q];
    assert_eq!(passing(narrow(), &mixed), [true, true, true, true, true, false]);
    // Neighbouring ids share a key, and are forgotten with it.
    let mut wide = Dedupe::new(DedupeConfig::default().window(1000)).unwrap();
    apply(
        &mut wide,
        (0..100_000).map(|id| of(trade(Some(id), "1", "1"))).collect(),
    );
    let state = wide.snapshot().unwrap().unwrap();
    assert!(state.len() < 700, "{} bytes for 1,000 ids", state.len());
    let newest = (99_100..100_000).map(|id| of(trade(Some(id), "1", "1"))).collect();
    assert_eq!(apply(&mut wide, newest).events.len(), 0);
}

#[test]
fn a_narrower_window_keeps_the_newest_keys() {
    let id = |id: u64| of(trade(Some(id * 64), "1", "1"));
    let mut wide = fresh();
    apply(&mut wide, (0..10).map(id).collect());
    let mut narrow = Dedupe::new(DedupeConfig::default().window(3)).unwrap();
    narrow.restore(&wide.snapshot().unwrap().unwrap()).unwrap();
    assert_eq!(
        passing(narrow, &[id(9), id(8), id(7), id(6)]),
        [false, false, false, true]
    );
}

proptest! {
    #[test]
    fn agrees_with_a_list_of_all_ids(ids in prop::collection::vec((0u64..300, 0u8..2), 0..400)) {
        let events: Vec<_> = ids.iter().map(|(id, which)| event(symbol(*which), 1, trade(Some(*id), "1", "1"))).collect();
        let mut seen = std::collections::HashSet::new();
        let expected: Vec<_> = ids.iter().map(|id| seen.insert(*id)).collect();
        prop_assert_eq!(passing(fresh(), &events), expected);
    }

    #[test]
    fn a_session_twice_is_a_session_once(events in session()) {
        let mut dedupe = fresh();
        let once = apply(&mut dedupe, events).events;
        let (dropped, len) = (dedupe.dropped(), once.len() as u64);
        let trades: Vec<_> = once.into_iter().filter(|event| matches!(event.data, Data::Trade(_))).collect();
        let again = trades.len() as u64;
        prop_assert_eq!(apply(&mut dedupe, trades).events, []);
        prop_assert_eq!(dedupe.dropped(), dropped + again);
        prop_assert!(len >= again);
    }
}
