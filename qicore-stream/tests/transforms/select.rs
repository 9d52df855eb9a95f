//! `filter` and `map`.

use qicore_data::{Data, Event, EventType, Quality, Symbol};
use qicore_stream::transform::filter::{FilterConfig, Selection};
use qicore_stream::transform::{Filter, Map};

use crate::common::{apply, candle, event, print, quote, symbol, trade};

fn mixed() -> Vec<Event> {
    let euro = Symbol::new("C0/EUR").unwrap();
    let mut doubtful = event(euro, 4, trade(None, "1", "1"));
    doubtful.quality = Quality::Low;
    vec![
        print(1, "1", "1"),
        event(symbol(1), 2, quote("1", "1", "2", "1")),
        event(euro, 3, candle(["1", "1", "1", "1"], false)),
        doubtful,
        event(symbol(1), 5, candle(["1", "1", "1", "1"], true)),
    ]
}

#[track_caller]
fn expect(config: FilterConfig, expected: &[i64]) {
    let out = apply(&mut Filter::from(config), mixed());
    let times: Vec<_> = out.events.iter().map(|event| event.timestamp.millis()).collect();
    assert_eq!(times, expected);
    assert!(out.rejected.is_empty());
}

#[test]
fn filters_by_each_property() {
    let all = FilterConfig::default;
    let symbols = |pattern: &str| Selection::default().symbols(pattern.parse().unwrap());
    expect(all(), &[1, 2, 3, 4, 5]);
    expect(all().keep(Selection::default().event_type(EventType::Candle)), &[3, 5]);
    expect(
        all().keep(Selection::default().exchange("elsewhere".parse().unwrap())),
        &[],
    );
    expect(all().keep(symbols("*/EUR")), &[3, 4]);
    expect(all().keep(symbols("C0/*")), &[1, 3, 4]);
    expect(
        all().keep(symbols("C1/USD").symbols("*/EUR".parse().unwrap())),
        &[2, 3, 4, 5],
    );
    expect(all().exclude(symbols("*/EUR")), &[1, 2, 5]);
    expect(
        all().exclude(symbols("*/EUR").event_type(EventType::Trade)),
        &[1, 2, 3, 5],
    );
    expect(all().exclude(symbols("*")), &[]);
    expect(all().min_quality(Quality::Medium), &[1, 2, 3, 5]);
    expect(all().closed_only(true), &[1, 2, 4, 5]);
    expect(
        all().keep(symbols("C0/*")).exclude(symbols("*/EUR")).closed_only(true),
        &[1],
    );
}

#[test]
fn maps_and_drops() {
    let mut rename = Map::new("rename", |mut event: Event| {
        event.symbol = Symbol::new("X/Y").unwrap();
        (!matches!(event.data, Data::Quote(_))).then_some(event)
    });
    let events = mixed();
    let place = events.as_ptr();
    let out = apply(&mut rename, events);
    assert!(out.events.iter().all(|event| event.symbol.as_str() == "X/Y"));
    assert_eq!((out.events.len(), out.events.as_ptr()), (4, place), "in place");
}
