//! The candles that trades come to.

use std::time::Duration;

use qicore_data::{Candle, Data, Event, GapReason, Quality, Timeframe, Timestamp, Transform};
use qicore_stream::transform::candles::Empty;
use qicore_stream::transform::{Candles, CandlesConfig};

use crate::common::{apply, as_candle, at, event, gap, number, print, run, symbol, trade};

const M1: Timeframe = Timeframe::M1;

fn build(config: CandlesConfig) -> Candles {
    Candles::new(config).unwrap()
}

fn only_candles() -> CandlesConfig {
    CandlesConfig::new([M1]).pass_through(false)
}

/// `open-time open high low close volume`, with what is not as usual.
fn line(event: &Event) -> String {
    let Some(candle) = as_candle(event) else {
        return match &event.data {
            Data::Alert(alert) => format!("{}: {}", alert.rule, alert.message),
            other => other.event_type().to_string(),
        };
    };
    let Candle {
        open,
        high,
        low,
        close,
        volume,
        ..
    } = candle;
    let mut line = format!(
        "{} {open} {high} {low} {close} {volume}",
        event.timestamp.millis() / 1000
    );
    for (is, name) in [
        (!candle.closed, " open".to_owned()),
        (candle.revision > 0, format!(" r{}", candle.revision)),
        (event.quality != Quality::High, format!(" {}", event.quality)),
        (candle.timeframe != M1, format!(" {}", candle.timeframe)),
    ] {
        line.push_str(if is { &name } else { "" });
    }
    line
}

#[track_caller]
fn expect(events: &[Event], expected: &[&str]) {
    assert_eq!(events.iter().map(line).collect::<Vec<_>>(), expected);
}

#[test]
fn closes_by_event_time_after_the_lateness() {
    let mut candles = build(only_candles());
    let first = vec![
        print(60_000, "10", "1"),
        print(119_999, "12", "2"),
        print(120_000, "9", "1"),
        print(121_999, "9", "1"),
    ];
    expect(&apply(&mut candles, first).events, &[]);
    expect(
        &apply(&mut candles, vec![print(122_000, "8", "1")]).events,
        &["60 10 12 10 12 3"],
    );
    let mut out = qicore_data::Output::default();
    candles.flush(&mut out).unwrap();
    expect(&out.events, &["120 9 9 8 8 3 open"]);
}

#[test]
fn within_a_bar_order_is_by_event_time() {
    let prices = [
        (90_000, "5"),
        (70_000, "3"),
        (110_000, "7"),
        (70_000, "4"),
        (110_000, "6"),
        (100_000, "9"),
    ];
    let mut events: Vec<_> = prices.iter().map(|(time, price)| print(*time, price, "1")).collect();
    events.push(print(122_000, "1", "1"));
    let candles = run(build(only_candles()), events);
    // Its first trade came after its open, so the bar may lack some.
    expect(&candles[..1], &["60 3 9 3 6 6 medium"]);
}

#[test]
fn another_symbol_closes_the_bar_of_a_silent_one() {
    let other = |time| event(symbol(1), time, trade(None, "1", "1"));
    let config = CandlesConfig::new([Timeframe::M5, M1, M1]).pass_through(false);
    let events = vec![print(0, "9", "1"), print(1, "2", "1"), other(60_000), other(302_000)];
    let candles = run(build(config), events);
    expect(
        &candles,
        &[
            "untimed_trade: trade has no time: it is in no candle of 1m 5m",
            "0 2 2 2 2 1 medium",
            "60 1 1 1 1 1",
            "0 2 2 2 2 1 medium 5m",
            "0 1 1 1 1 1 medium 5m",
            "300 1 1 1 1 1 open",
            "300 1 1 1 1 1 open 5m",
        ],
    );
}

#[test]
fn a_late_trade_corrects_a_closed_bar() {
    let config = only_candles().correct_for(Duration::from_secs(64));
    let mut candles = build(config);
    let events = vec![
        print(60_000, "5", "1"),
        print(125_000, "5", "1"),
        print(65_000, "7", "1"),
        print(59_000, "4", "1"),
    ];
    expect(
        &apply(&mut candles, events).events,
        &["60 5 5 5 5 1", "60 5 7 5 7 2 r1", "0 4 4 4 4 1 medium"],
    );
    // 64 s after the close, minus a moment; and then too late.
    let events = vec![
        print(185_999, "5", "1"),
        print(66_000, "8", "1"),
        print(186_000, "5", "1"),
        print(66_000, "8", "1"),
    ];
    expect(
        &apply(&mut candles, events).events,
        &[
            "120 5 5 5 5 1",
            "60 5 8 5 8 3 r2",
            "late_trade: trade came after its candle could be corrected: it is in no candle of 1m",
        ],
    );
}

#[test]
fn a_late_trade_is_named_and_goes_on() {
    let mut config = CandlesConfig::new([M1, Timeframe::H1]).correct_for(Duration::ZERO);
    config.pass_through = true;
    let late = event(symbol(0), 3_600_000, trade(Some(7), "5", "1"));
    let out = run(build(config), vec![print(3_720_000, "5", "1"), late.clone()]);
    assert_eq!(out[1], late);
    expect(
        &out[2..3],
        &["late_trade: trade 7 came after its candle could be corrected: it is in no candle of 1m"],
    );
    let Data::Alert(alert) = &out[2].data else { panic!() };
    assert_eq!((alert.value, out[2].timestamp), (Some(number("5")), late.timestamp));
    // The hour is still open, and has it.
    expect(&out[4..], &["3600 5 5 5 5 2 open medium 1h"]);
}

#[test]
fn a_trade_from_the_future_closes_nothing() {
    let mut ahead = print(4_000_000_000_000, "9", "9");
    ahead.received = Some(at(61_000));
    let out = run(
        build(only_candles()),
        vec![print(60_000, "1", "1"), ahead, print(61_000, "1", "1")],
    );
    expect(
        &out,
        &[
            "future_trade: trade is later than its receipt: it is in no candle of 1m",
            "60 1 1 1 1 2 open",
        ],
    );
}

#[test]
fn empty_intervals_carry_the_close() {
    let config = only_candles().empty(Empty::Carry).max_carry(2);
    let mut candles = build(config.clone());
    let events = vec![print(60_000, "5", "1"), print(242_000, "7", "1")];
    expect(
        &apply(&mut candles, events).events,
        &["60 5 5 5 5 1", "120 5 5 5 5 0 medium", "180 5 5 5 5 0 medium"],
    );
    // A late trade fills the first of them, and the next one carries its price.
    let late = vec![print(121_000, "6", "1")];
    expect(
        &apply(&mut candles, late).events,
        &["120 6 6 6 6 1 r1", "180 6 6 6 6 0 r1 medium"],
    );
    // Ten years ahead: two candles, not five million.
    let ahead = vec![print(400_000_000_000, "7", "1")];
    expect(
        &apply(&mut candles, ahead).events,
        &["240 7 7 7 7 1", "300 7 7 7 7 0 medium", "360 7 7 7 7 0 medium"],
    );
}

#[test]
fn the_ends_of_time_are_times_too() {
    for empty in [Empty::Skip, Empty::Carry] {
        let config = CandlesConfig::new(Timeframe::ALL.iter().copied())
            .empty(empty)
            .max_carry(5);
        let config = config.allowed_lateness(Duration::ZERO);
        let mut candles = build(config.clone());
        for nanos in [i64::MIN, i64::MAX, i64::MAX - 1, 1, i64::MIN] {
            let print = Event {
                timestamp: Timestamp::from_nanos(nanos),
                ..print(1, "1", "1")
            };
            let out = apply(&mut candles, vec![print]);
            assert!(out.events.len() <= 1 + 2 * 6 * Timeframe::ALL.len());
        }
        build(config).restore(&candles.snapshot().unwrap().unwrap()).unwrap();
    }
}

#[test]
fn a_gap_makes_its_bars_incomplete() {
    let gaps = |reason| {
        let gap = event(symbol(0), 130_000, gap(90_000, 130_000, reason));
        let events = vec![
            print(60_000, "1", "1"),
            gap,
            print(131_000, "1", "1"),
            print(200_000, "1", "1"),
            print(300_000, "1", "1"),
        ];
        let out = run(build(only_candles()), events);
        out.into_iter()
            .filter(|event| as_candle(event).is_some())
            .collect::<Vec<_>>()
    };
    let lost = [
        "60 1 1 1 1 1 medium",
        "120 1 1 1 1 1 medium",
        "180 1 1 1 1 1",
        "300 1 1 1 1 1 open",
    ];
    expect(&gaps(GapReason::Disconnect), &lost);
    expect(
        &gaps(GapReason::Checksum),
        &lost.map(|line| line.trim_end_matches(" medium")),
    );
}

#[test]
fn doubtful_trades_make_doubtful_candles() {
    let mut doubtful = print(60_001, "1", "1");
    doubtful.quality = Quality::Low;
    expect(
        &run(build(only_candles()), vec![print(60_000, "1", "1"), doubtful]),
        &["60 1 1 1 1 2 open low"],
    );
}

#[test]
fn what_is_not_of_high_quality_says_why() {
    let mut doubtful = print(250_000, "5", "1");
    doubtful.quality = Quality::Low;
    let events = vec![
        print(30_000, "5", "1"),
        print(60_000, "5", "1"),
        doubtful,
        print(300_000, "5", "1"),
    ];
    let found = run(build(only_candles().empty(Empty::Carry)), events);
    let reasons = found.iter().map(|event| {
        let reasons = event.enrichment.iter().flat_map(|enrichment| &enrichment.reasons);
        (
            event.timestamp.nanos() / 1_000_000_000,
            reasons.map(|reason| reason.as_str()).collect(),
        )
    });
    let reasons: Vec<(i64, Vec<&str>)> = reasons.collect();
    let expected = [
        (0, vec!["partial_interval"]),
        (60, vec![]),
        (120, vec!["carried"]),
        (180, vec!["carried"]),
        (240, vec!["marked_trades"]),
        (300, vec![]),
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn open_bars_are_shown_in_their_own_time() {
    let times = [60_000, 61_000, 69_999, 70_000, 75_000];
    let events = |step: usize| {
        times
            .iter()
            .step_by(step)
            .map(|time| print(*time, "1", "1"))
            .collect::<Vec<_>>()
    };
    let shown = apply(&mut build(only_candles().emit_open(Duration::from_secs(10))), events(1));
    expect(&shown.events, &["60 1 1 1 1 1 open", "60 1 1 1 1 4 open"]);
    let shown = apply(&mut build(only_candles().emit_open(Duration::ZERO)), events(2));
    expect(
        &shown.events,
        &["60 1 1 1 1 1 open", "60 1 1 1 1 2 open", "60 1 1 1 1 3 open"],
    );
}

#[test]
fn candles_follow_the_event_that_closed_them() {
    let quote = event(symbol(0), 122_000, crate::common::quote("1", "1", "2", "1"));
    let events = vec![print(60_000, "1", "1"), print(122_000, "2", "1"), quote.clone()];
    let out = apply(&mut build(CandlesConfig::default()), events.clone());
    expect(&out.events, &["trade", "trade", "60 1 1 1 1 1", "quote"]);
    assert_eq!(out.events[2].received, None);
    // Without the trades, everything else still goes on.
    expect(
        &apply(&mut build(only_candles()), events).events,
        &["60 1 1 1 1 1", "quote"],
    );
}

#[test]
fn volumes_are_exact_or_absent() {
    let huge = "79228162514264337593543950335";
    let out = run(
        build(only_candles()),
        vec![
            print(60_000, "3", huge),
            print(60_001, "3", "1"),
            print(60_002, "2", "0"),
        ],
    );
    expect(
        &out[..1],
        &["volume_overflow: trade would make the candle's volume inexact: it is in no candle of 1m"],
    );
    let candle = as_candle(&out[1]).unwrap();
    assert_eq!(
        (candle.volume, candle.quote_volume, candle.trades),
        (number(huge), None, Some(2))
    );
    let mixed = [
        print(60_000, "0.000000000001", "0.0000000000000001"),
        print(60_001, "100000", "1.5"),
    ];
    let out = run(build(only_candles()), mixed.to_vec());
    let candle = as_candle(&out[0]).unwrap();
    assert_eq!(candle.volume, number("1.5000000000000001"));
    assert_eq!(candle.quote_volume, None, "150000 and 1e-28 together take 34 digits");
}

#[test]
fn a_new_timeframe_starts_after_the_stored_state() {
    let mut old = build(only_candles());
    apply(&mut old, vec![print(1, "5", "1"), print(3_660_000, "5", "1")]);
    let mut new = build(CandlesConfig::new([M1, Timeframe::H1]).pass_through(false));
    new.restore(&old.snapshot().unwrap().unwrap()).unwrap();
    let out = apply(&mut new, vec![print(3_661_000, "6", "1"), print(10_802_000, "1", "1")]);
    expect(&out.events, &["3660 5 6 5 6 2", "3600 6 6 6 6 1 medium 1h"]);
}
