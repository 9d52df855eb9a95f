use qicore_data::{Gap, GapReason, Label, Timestamp};

use super::*;

fn event(exchange: &str, data: impl Into<Data>) -> Event {
    let (exchange, symbol) = (Exchange::new(exchange).unwrap(), Symbol::new("BTC/USD").unwrap());
    Event::new(exchange, symbol, Timestamp::UNKNOWN, Label::new("test").unwrap(), data)
}

fn levels(levels: &[(i64, i64)]) -> Vec<Level> {
    levels
        .iter()
        .map(|(price, size)| Level::new((*price).into(), (*size).into()))
        .collect()
}

fn book(exchange: &str, kind: BookKind, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Event {
    let data = Book {
        kind,
        sequence: Some(7),
        levels: Levels::new(&levels(bids), &levels(asks)),
        checksum: None,
    };
    event(exchange, data)
}

fn gap(exchange: &str) -> Event {
    let (from, to) = (Timestamp::UNKNOWN, Timestamp::UNKNOWN);
    let reason = GapReason::Sequence;
    event(
        exchange,
        Gap {
            from,
            to,
            reason,
            missed: None,
        },
    )
}

fn told(top: &mut Top, events: Vec<Event>) -> Vec<Event> {
    let mut out = Output::default();
    top.apply(events, &mut out).unwrap();
    out.events
}

/// The bids of what was told.
fn bids(events: &[Event]) -> Vec<Vec<String>> {
    let of = |event: &Event| match &event.data {
        Data::Book(book) => book.levels.bids().iter().map(|bid| bid.price.to_string()).collect(),
        other => vec![format!("{:?}", other.event_type())],
    };
    events.iter().map(of).collect()
}

#[test]
fn only_changes_of_the_view_are_told() {
    let mut top = Top::from(TopConfig::levels(2));
    let events = vec![
        book("binance", BookKind::Snapshot, &[(99, 1), (98, 1), (97, 1)], &[(101, 1)]),
        book("binance", BookKind::Delta, &[(97, 5)], &[]),
        book("binance", BookKind::Delta, &[(98, 0)], &[]),
    ];
    assert_eq!(bids(&told(&mut top, events)), [["99", "98"], ["99", "97"]]);
}

#[test]
fn nothing_is_told_of_a_book_that_is_not_known() {
    let mut top = Top::from(TopConfig::default());
    let events = vec![
        book("binance", BookKind::Delta, &[(99, 1)], &[]),
        book("binance", BookKind::Snapshot, &[(99, 1)], &[]),
        gap("binance"),
        book("binance", BookKind::Delta, &[(98, 1)], &[]),
        book("binance", BookKind::Snapshot, &[(98, 1)], &[]),
    ];
    assert_eq!(bids(&told(&mut top, events)), [vec!["99"], vec!["Gap"], vec!["98"]]);
}

#[test]
fn a_book_of_bounded_depth_forgets_what_leaves_it() {
    let full: Vec<_> = (0..10).map(|at| (99 - at, 1)).collect();
    let thin = [(99, 1), (98, 1)];
    let changes = |exchange, bids: &[(i64, i64)]| {
        vec![
            book(exchange, BookKind::Snapshot, bids, &[(101, 1)]),
            book(exchange, BookKind::Delta, &[(100, 1)], &[]),
            book(exchange, BookKind::Delta, &[(100, 0)], &[]),
        ]
    };
    let last = |exchange, bids| {
        let told = told(&mut Top::from(TopConfig::levels(20)), changes(exchange, bids));
        self::bids(&told).pop().unwrap().len()
    };
    assert_eq!((last("kraken", &full), last("coinbase", &full)), (9, 10));
    // A thin market is not full.
    assert_eq!(last("kraken", &thin), 2);
}

#[test]
fn what_does_not_concern_a_book_does_not_break_it() {
    let mut lacking = gap("kraken");
    if let Data::Gap(gap) = &mut lacking.data {
        gap.reason = GapReason::Provider;
    }
    let mut wrong = book("kraken", BookKind::Delta, &[(99, 3)], &[]);
    if let Data::Book(book) = &mut wrong.data {
        book.checksum = Some(Checksum::Mismatch);
    }
    let events = vec![
        book("kraken", BookKind::Snapshot, &[(99, 1)], &[]),
        lacking,
        book("kraken", BookKind::Delta, &[(98, 1)], &[]),
        wrong,
        book("kraken", BookKind::Delta, &[(97, 1)], &[]),
    ];
    let told = told(&mut Top::from(TopConfig::default()), events);
    assert_eq!(bids(&told), [vec!["99"], vec!["Gap"], vec!["99", "98"]]);
}

#[test]
fn goes_on_from_its_state() {
    let first = vec![book("kraken", BookKind::Snapshot, &[(99, 1)], &[(101, 1)])];
    let second = vec![book("kraken", BookKind::Delta, &[(99, 2)], &[])];
    let mut whole = Top::from(TopConfig::quotes());
    told(&mut whole, first);
    let state = whole.snapshot().unwrap().unwrap();
    let mut copy = Top::from(TopConfig::quotes());
    copy.restore(&state).unwrap();
    assert_eq!(told(&mut copy, second.clone()), told(&mut whole, second));
    assert!(copy.restore("{}").is_err());
}
