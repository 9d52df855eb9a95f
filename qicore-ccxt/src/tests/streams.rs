//! Streams by themselves: the answers and the time are told.

use super::*;
use crate::config::Wanted;
use crate::page::Row;
use crate::stream::{Again, Common, Stream};
use qicore_data::{Checkpoint, Data, Enrichment, Exchange, GapReason, Label, Lane, Position, Timeframe};

fn stream(config: &CcxtConfig, from: Option<Position>, now: i64) -> Stream {
    let common = Common {
        exchange: Exchange::new("fake").unwrap(),
        source: Label::new("ccxt").unwrap(),
        enrichment: Arc::new(Enrichment::default()),
        live: true,
    };
    let which = (config.symbols[0], config.data[0]);
    let from = from.map(|position| Checkpoint::new(Lane::new("x"), position));
    Stream::new(config, common, which, from.as_ref(), time(START + now))
}

fn take(stream: &mut Stream, rows: &[serde_json::Value], now: i64) -> (Vec<Row>, Again) {
    let (page, again) = stream.take(&Value::from_json(&rows.into()), time(START + now)).unwrap();
    (page.rows, again)
}

fn position(row: &Row) -> Position {
    Position {
        offset: row.offset,
        detail: row.detail.clone(),
    }
}

fn since(stream: &Stream) -> i64 {
    let place = if stream.call().method == "fetch_ohlcv" { 2 } else { 1 };
    stream.call().arguments[place].as_i64().unwrap() - START
}

#[test]
fn a_bar_is_given_when_it_is_over() {
    let config = config(&["candles:1m"]);
    let mut stream = stream(&config, None, 30_000);
    assert_eq!(since(&stream), 0, "the bar that is open now");
    assert_eq!(
        take(&mut stream, &[bar(0)], MINUTE + 4_000).0,
        [],
        "it may still change"
    );
    let (rows, again) = take(&mut stream, &[bar(0), bar(1)], MINUTE + 4_000);
    assert_eq!((rows.len(), again), (1, Again::Later), "one is followed by another");
    let (rows, _) = take(&mut stream, &[bar(1)], 2 * MINUTE + 5_000);
    assert_eq!(rows.len(), 1, "it ended five seconds ago");
    assert_eq!(rows[0].offset as i64, (START + MINUTE) / 1_000);
    assert_eq!(
        take(&mut stream, &[bar(0), bar(1)], 3 * MINUTE).0,
        [],
        "each is given once"
    );
    assert_eq!(config.data, [Wanted::Candles(Timeframe::M1)]);
}

#[test]
fn candles_go_on_behind_the_last() {
    let config = config(&["candles:1m"]);
    let at = Position::at(((START + 10 * MINUTE) / 1_000) as u64);
    let mut stream = stream(&config, Some(at), 60 * MINUTE);
    assert_eq!(since(&stream), 11 * MINUTE);
    let (rows, again) = take(&mut stream, &[bar(11), bar(12)], 60 * MINUTE);
    assert_eq!((rows.len(), again), (2, Again::Now));
}

#[test]
fn trades_of_one_millisecond() {
    let config = config(&["trades"]);
    let mut first = stream(&config, None, 0);
    let named = [trade(5, Some("a")), trade(5, Some("b"))];
    let (rows, _) = take(&mut first, &named, 1_000);
    assert_eq!(since(&first), 4);
    let more = [
        trade(5, Some("b")),
        trade(5, Some("c")),
        trade(5, Some("a")),
        trade(6, Some("a")),
    ];
    let expected = take(&mut first, &more, 1_000).0;
    assert_eq!(expected.len(), 2, "c, and the one of the next millisecond");
    // The same after a restart, whether the position has the ids or a part of a batch has lost them.
    let mut second = stream(&config, Some(position(&rows[1])), 1_000);
    assert_eq!(take(&mut second, &more, 1_000).0, expected);
    let in_order = [
        trade(5, Some("a")),
        trade(5, Some("b")),
        trade(5, Some("c")),
        trade(6, Some("a")),
    ];
    let mut third = stream(&config, Some(Position::at(rows[1].offset)), 1_000);
    let offsets = |rows: &[Row]| rows.iter().map(|row| row.offset).collect::<Vec<_>>();
    assert_eq!(offsets(&take(&mut third, &in_order, 1_000).0), offsets(&expected));
}

#[test]
fn trades_that_look_the_same() {
    let mut stream = stream(&config(&["trades"]), None, 0);
    assert_eq!(take(&mut stream, &[trade(5, None), trade(5, None)], 1_000).0.len(), 2);
    let (rows, _) = take(&mut stream, &[trade(5, None), trade(5, None), trade(5, None)], 1_000);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].offset & 0xfffff, 3);
}

#[test]
fn an_answer_that_does_not_reach_back_is_a_gap() {
    let config = config(&["trades"]);
    let mut first = stream(&config, None, 0);
    take(&mut first, &[trade(5, Some("a"))], 1_000);
    let (rows, _) = take(&mut first, &[trade(700, Some("x")), trade(700, Some("y"))], 1_000);
    assert_eq!(rows.len(), 3);
    let Data::Gap(gap) = &rows[0].event.data else {
        panic!("{rows:?}")
    };
    assert_eq!((gap.from, gap.to), (time(START + 5), time(START + 700)));
    assert_eq!(gap.reason, GapReason::Provider);
    assert!(rows.is_sorted_by(|one, other| one.offset < other.offset));
    // A restart right behind the gap tells it no second time.
    let mut second = stream(&config, Some(position(&rows[0])), 1_000);
    assert_eq!(
        take(&mut second, &[trade(700, Some("x")), trade(700, Some("y"))], 1_000).0,
        rows[1..]
    );
}

#[test]
fn a_quiet_market_is_asked_for_its_last_hour() {
    const HOUR: i64 = 60 * MINUTE;
    let mut stream = stream(&config(&["trades"]), None, 0);
    take(&mut stream, &[trade(5, Some("a"))], 1_000);
    assert_eq!(take(&mut stream, &[trade(5, Some("a"))], HOUR).1, Again::Later);
    assert_eq!(since(&stream), 4, "the last trade is less than an hour old");
    while take(&mut stream, &[], 5 * HOUR).1 == Again::Now {}
    assert_eq!(since(&stream), 4 * HOUR);
    assert_eq!(
        take(&mut stream, &[trade(4 * HOUR + 1, Some("b"))], 5 * HOUR).0.len(),
        1
    );
}

#[test]
fn a_ticker_that_is_told_again_is_no_news() {
    let mut stream = stream(&config(&["tickers"]), None, 0);
    let ticker = |at: i64, last: f64| Value::from_json(&json!({ "timestamp": START + at, "last": last }));
    let mut rows = |at, last| {
        stream
            .take(&ticker(at, last), time(START + 9_000))
            .unwrap()
            .0
            .rows
            .len()
    };
    assert_eq!((rows(0, 1.5), rows(0, 1.5), rows(0, 2.5), rows(1, 2.5)), (1, 0, 1, 1));
}
