//! Which events `validate` lets pass.

use std::time::Duration;

use qicore_data::{BookKind, Checksum, Data, Event, GapReason, Price, Quality, Series, Ticker, Timestamp, Transform};
use qicore_stream::transform::validate::{Action, Rule};
use qicore_stream::transform::{Validate, ValidateConfig};

use crate::common::{apply, at, book, candle, event, gap, number, print, quote, symbol, trade};

/// What became of one event: the rule that rejected it, or its quality.
fn judge(config: ValidateConfig, event: Event) -> Result<Quality, &'static str> {
    let mut out = apply(&mut Validate::new(config), vec![event.clone()]);
    match (out.events.pop(), out.rejected.pop()) {
        (Some(passed), None) => {
            let quality = passed.quality;
            assert_eq!(
                passed.enrichment.is_some(),
                quality != Quality::High,
                "what is marked has a reason"
            );
            assert_eq!(
                Event {
                    quality: event.quality,
                    enrichment: None,
                    ..passed
                },
                event,
                "nothing else may change"
            );
            Ok(quality)
        }
        (None, Some(rejected)) => {
            assert_eq!(rejected.event, event);
            Err(rejected.rule)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn expect(data: impl Into<Data>, expected: Result<Quality, Rule>) {
    let given = judge(ValidateConfig::default(), event(symbol(0), 60_000, data));
    assert_eq!(given, expected.map_err(Rule::as_str));
}

const SOUND: Result<Quality, Rule> = Ok(Quality::High);
const MARKED: Result<Quality, Rule> = Ok(Quality::Low);

#[test]
fn trades() {
    expect(trade(None, "0.000001", "0.1"), SOUND);
    for price in ["0", "0.00", "-1"] {
        expect(trade(None, price, "1"), Err(Rule::PricePositive));
    }
    expect(trade(None, "1", "-0.1"), Err(Rule::SizeNonNegative));
    expect(trade(None, "1", "0.000"), Err(Rule::EmptyTrade));
}

#[test]
fn quotes() {
    expect(quote("1", "5", "2", "5"), SOUND);
    expect(quote("2", "5", "2", "5"), SOUND);
    expect(quote("2.1", "5", "2", "5"), MARKED);
    expect(quote("2.1", "5", "0", "0"), MARKED);
    expect(quote("1", "0", "2", "5"), MARKED);
    expect(quote("0", "5", "2", "5"), Err(Rule::PricePositive));
    expect(quote("1", "5", "2", "-5"), Err(Rule::SizeNonNegative));
}

#[test]
fn tickers_of_idle_pairs_are_marked() {
    expect(Ticker::new(number("5")), SOUND);
    expect(Ticker::new(number("0")), MARKED);
    expect(
        Ticker {
            bid: Some(number("6")),
            ask: Some(number("5")),
            ..Ticker::new(number("5"))
        },
        MARKED,
    );
    expect(
        Ticker {
            low: Some(number("-6")),
            ..Ticker::new(number("5"))
        },
        Err(Rule::PricePositive),
    );
    expect(
        Ticker {
            volume: Some(number("-6")),
            ..Ticker::new(number("5"))
        },
        Err(Rule::SizeNonNegative),
    );
}

#[test]
fn books() {
    let snapshot = BookKind::Snapshot;
    expect(book(snapshot, None, &[("1", "5"), ("2", "5")], &[("3", "1")]), SOUND);
    // Best bid first or last: both are found.
    expect(book(snapshot, None, &[("1", "5"), ("4", "5")], &[("3", "1")]), MARKED);
    expect(book(snapshot, None, &[("1", "5")], &[("3", "1"), ("0.5", "1")]), MARKED);
    expect(book(snapshot, None, &[("3", "5")], &[("3", "1")]), SOUND);
    expect(book(snapshot, None, &[], &[]), MARKED);
    expect(book(BookKind::Delta, None, &[], &[]), SOUND);
    expect(book(BookKind::Delta, None, &[("4", "0")], &[("3", "1")]), SOUND);
    expect(
        book(BookKind::Delta, None, &[("4", "-1")], &[]),
        Err(Rule::SizeNonNegative),
    );
    expect(
        book(BookKind::Delta, None, &[], &[("0", "1")]),
        Err(Rule::PricePositive),
    );
    let mut damaged = book(BookKind::Delta, None, &[("1", "5")], &[]);
    damaged.checksum = Some(Checksum::Mismatch);
    expect(damaged, MARKED);
}

#[test]
fn candles() {
    expect(candle(["2", "3", "1", "2"], true), SOUND);
    expect(candle(["1", "1", "1", "1"], true), SOUND);
    for prices in [["2", "1", "3", "2"], ["4", "3", "1", "2"], ["2", "3", "1", "0.5"]] {
        expect(candle(prices, true), Err(Rule::CandleBounds));
        // CryptoCompare's open bar: the close is live, high and low lag.
        expect(candle(prices, false), MARKED);
    }
    expect(candle(["0", "0", "0", "0"], true), Err(Rule::PricePositive));
    expect(candle(["0", "0", "0", "0"], false), MARKED);
    let off_beat = event(symbol(0), 61_000, candle(["2", "3", "1", "2"], true));
    assert_eq!(judge(ValidateConfig::default(), off_beat), Ok(Quality::Low));
}

#[test]
fn an_open_candle_can_be_judged_as_strictly_or_not_at_all() {
    let broken = event(symbol(0), 60_000, candle(["4", "3", "1", "2"], false));
    let with = |most| judge(ValidateConfig::default().open_candles(most), broken.clone());
    assert_eq!(with(Action::Reject), Err("candle_bounds"));
    assert_eq!(with(Action::Off), Ok(Quality::High));
    let config = ValidateConfig::default().rule(Rule::CandleBounds, Action::Off);
    assert_eq!(judge(config, broken.clone()), Ok(Quality::High));
    // Its key is judged like any other.
    let config = ValidateConfig::default().rule(Rule::CandleAlignment, Action::Reject);
    let off_beat = Event {
        timestamp: at(61_000),
        ..broken
    };
    assert_eq!(judge(config, off_beat), Err("candle_alignment"));
}

#[test]
fn the_rest() {
    let price = Price {
        price: number("1"),
        market_cap: None,
        volume_24h: Some(number("-1")),
        change_24h: Some(number("-1")),
    };
    expect(price.clone(), Err(Rule::SizeNonNegative));
    expect(
        Price {
            volume_24h: None,
            ..price
        },
        SOUND,
    );
    let series = Series {
        name: "cpi".parse().unwrap(),
        value: number("-3"),
        params: None,
    };
    expect(series, SOUND);
    expect(gap(1, 2, GapReason::Disconnect), SOUND);
    expect(gap(3, 2, GapReason::Disconnect), MARKED);
    expect(gap(3, 0, GapReason::Disconnect), SOUND);
}

#[test]
fn time_is_compared_with_the_receipt() {
    let config = ValidateConfig::default().max_age(Duration::from_secs(60));
    let judge_at = |timestamp, received| {
        judge(
            config.clone(),
            Event {
                timestamp,
                received,
                ..print(0, "1", "1")
            },
        )
    };
    assert_eq!(judge_at(at(100_000), None), Ok(Quality::High));
    let in_2199 = at(7_226_582_400_000);
    assert_eq!(
        judge_at(in_2199, None),
        Err("timestamp_future"),
        "whenever it was received"
    );
    assert_eq!(
        judge_at(in_2199, Some(in_2199)),
        Ok(Quality::High),
        "a simulation has its own clock"
    );
    assert_eq!(judge_at(at(105_000), Some(at(100_000))), Ok(Quality::High));
    assert_eq!(judge_at(at(105_001), Some(at(100_000))), Err("timestamp_future"));
    assert_eq!(judge_at(at(40_000), Some(at(100_000))), Ok(Quality::High));
    assert_eq!(judge_at(at(39_999), Some(at(100_000))), Err("timestamp_past"));
    assert_eq!(
        judge_at(Timestamp::UNKNOWN, Some(at(100_000))),
        Err("timestamp_missing")
    );
    assert_eq!(judge_at(Timestamp::MAX, Some(Timestamp::MAX)), Ok(Quality::High));
    let old = ValidateConfig::default();
    let history = Event {
        received: Some(at(1_700_000_000_000)),
        ..print(1, "1", "1")
    };
    assert_eq!(judge(old, history), Ok(Quality::High));
}

#[test]
fn a_rule_that_rejects_wins_and_all_are_told() {
    let mut both = event(symbol(0), 60_000, quote("0", "-1", "2", "0"));
    both.received = Some(at(1_000));
    let out = apply(&mut Validate::default(), vec![both]);
    assert_eq!(out.rejected[0].rule, "timestamp_future");
    assert_eq!(
        out.rejected[0].message,
        "the event breaks timestamp_future: an observation is not later than its receipt, but for the tolerance (5s); \
         price_positive: prices are above zero; size_non_negative: sizes and volumes are not below zero"
    );
}

/// The names of the rules that an event was marked for.
fn reasons(event: &Event) -> Vec<&'static str> {
    let enrichment = event.enrichment.as_deref().unwrap();
    enrichment.reasons.iter().map(|reason| reason.as_str()).collect()
}

#[test]
fn marked_events_tell_the_rules() {
    let idle = event(symbol(0), 1, quote("2", "0", "1", "5"));
    let crossed = event(symbol(1), 2, quote("2", "1", "1", "5"));
    let out = apply(
        &mut Validate::default(),
        vec![idle.clone(), crossed, print(3, "1", "1"), idle],
    );
    let (both, one) = (["empty_quote", "crossed_quote"], ["crossed_quote"]);
    assert_eq!(reasons(&out.events[0]), both);
    assert_eq!(reasons(&out.events[1]), one);
    assert_eq!(out.events[2].enrichment, None);
    let shared = |at: usize| std::sync::Arc::as_ptr(out.events[at].enrichment.as_ref().unwrap());
    assert_eq!(shared(0), shared(3), "one for all events that break the same rules");
    // Once more, in another pipeline, and now for one rule more.
    let mut again = out.events[1].clone();
    let Data::Quote(crossed) = &mut again.data else {
        panic!("a quote")
    };
    crossed.ask_size = number("0");
    let out = apply(&mut Validate::default(), vec![again]);
    assert_eq!(reasons(&out.events[0]), ["crossed_quote", "empty_quote"]);
}

#[test]
fn the_others_keep_their_order_and_a_sound_batch_its_memory() {
    let events: Vec<_> = (1..=6)
        .map(|at| print(at, if at % 3 == 0 { "0" } else { "1" }, "1"))
        .collect();
    let out = apply(&mut Validate::default(), events);
    let times = |events: &[Event]| events.iter().map(|event| event.timestamp.millis()).collect::<Vec<_>>();
    assert_eq!(times(&out.events), [1, 2, 4, 5]);
    assert_eq!(out.rejected.len(), 2);

    let sound: Vec<_> = (1..=6).map(|at| print(at, "1", "1")).collect();
    let place = sound.as_ptr();
    assert_eq!(apply(&mut Validate::default(), sound).events.as_ptr(), place);
}

#[test]
fn every_rule_can_be_turned_off() {
    let mut config = ValidateConfig::default();
    for rule in Rule::ALL {
        config = config.rule(*rule, Action::Off);
    }
    let mut validate = Validate::new(config);
    let broken = vec![
        print(0, "-1", "-1"),
        event(symbol(0), 61_000, candle(["4", "3", "1", "2"], true)),
    ];
    let out = apply(&mut validate, broken.clone());
    assert_eq!(out.events, broken);
    assert_eq!(validate.snapshot().unwrap(), None);
}
