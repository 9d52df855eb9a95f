//! What `enrich` adds, and what it never changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use proptest::prelude::*;
use qicore_data::{
    BookKind, Data, Enrichment, ErrorKind, Event, GapReason, Instrument, InstrumentKind, Label, Output, Price, Quality,
    Symbol, Tables, Ticker, Transform,
};
use qicore_stream::transform::enrich::{Action, EnrichConfig};
use qicore_stream::transform::{Dedupe, Enrich, Validate};

use crate::common::{apply, at, book, candle, event, gap, number, print, quote, session, symbol, trade};

const TABLE: &str = "instruments";

/// A description of one of the venue's instruments.
fn instrument(native: &str, symbol: &str, active: bool, price_step: Option<&str>) -> Event {
    let symbol = Symbol::new(symbol).unwrap();
    let instrument = Instrument {
        native: native.parse().unwrap(),
        base: symbol.base().parse().unwrap(),
        quote: symbol.quote().parse().unwrap(),
        kind: InstrumentKind::Spot,
        active,
        price_step: price_step.map(number),
        size_step: Some(number("0.01")),
    };
    event(symbol, 1_000, instrument)
}

/// Symbol 0 is traded in steps of 0.05, symbol 1 is not traded, and symbol 2 is not known.
fn tables() -> Tables {
    let tables = Tables::new([TABLE]);
    tables.instruments(TABLE).unwrap().update(&[
        instrument("c0usd", "C0/USD", true, Some("0.05")),
        instrument("c1usd", "C1/USD", false, None),
    ]);
    tables
}

fn config() -> EnrichConfig {
    EnrichConfig::default().instruments(TABLE).validated_at(false)
}

fn enrich(config: EnrichConfig, tables: &Tables) -> Enrich {
    let mut enrich = Enrich::new(config).unwrap();
    enrich.tables(tables).unwrap();
    enrich
}

/// What became of one event: the rule that rejected it, or its quality and reasons.
fn judge(config: EnrichConfig, event: Event) -> Result<(Quality, Vec<&'static str>), &'static str> {
    let mut out = apply(&mut enrich(config, &tables()), vec![event.clone()]);
    match (out.events.pop(), out.rejected.pop()) {
        (Some(passed), None) => Ok((passed.quality, reasons(&passed))),
        (None, Some(rejected)) => {
            assert_eq!(rejected.event, event, "a dead letter holds the event as it came");
            Err(rejected.rule)
        }
        other => panic!("{other:?}"),
    }
}

fn reasons(event: &Event) -> Vec<&'static str> {
    let reasons = event.enrichment.iter().flat_map(|enrichment| &enrichment.reasons);
    reasons.map(|reason| reason.as_str()).collect()
}

fn only(mut out: Output) -> Event {
    assert_eq!((out.events.len(), out.rejected.len()), (1, 0));
    out.events.remove(0)
}

fn label(text: &str) -> Option<Label> {
    Some(text.parse().unwrap())
}

#[test]
fn an_instrument_is_described() {
    let event = only(apply(&mut enrich(config(), &tables()), vec![print(1, "5.05", "1")]));
    let expected = Enrichment {
        native: label("c0usd"),
        base: label("C0"),
        quote: label("USD"),
        quote_currency: label("USD"),
        kind: Some(InstrumentKind::Spot),
        active: Some(true),
        price_step: Some(number("0.05")),
        size_step: Some(number("0.01")),
        ..Enrichment::default()
    };
    assert_eq!(event.enrichment.as_deref(), Some(&expected));
    assert_eq!(event.quality, Quality::High);
}

#[test]
fn each_rule_passes_marks_or_rejects() {
    let (unknown, inactive, off) = (
        event(symbol(2), 1, trade(None, "1", "1")),
        event(symbol(1), 1, trade(None, "1", "1")),
        print(1, "1.01", "1"),
    );
    type Set = fn(EnrichConfig, Action) -> EnrichConfig;
    let rules: [(&str, Event, Set, Option<Action>); 3] = [
        (
            "unknown_instrument",
            unknown,
            EnrichConfig::unknown_instrument,
            Some(Action::Mark),
        ),
        (
            "inactive_instrument",
            inactive,
            EnrichConfig::inactive_instrument,
            Some(Action::Mark),
        ),
        ("off_step", off, EnrichConfig::off_step, Some(Action::Pass)),
    ];
    for (rule, event, set, default) in rules {
        for action in [Some(Action::Pass), Some(Action::Mark), Some(Action::Reject), None] {
            let config = action.map_or(config(), |action| set(config(), action));
            let expected = match action.or(default) {
                Some(Action::Pass) => Ok((Quality::High, vec![])),
                Some(Action::Mark) => Ok((Quality::Medium, vec![rule])),
                _ => Err(rule),
            };
            assert_eq!(judge(config, event.clone()), expected, "{rule} {action:?}");
        }
    }
}

#[test]
fn steps_are_asked_of_every_price() {
    let asks = |data: Data| judge(config().off_step(Action::Reject), event(symbol(0), 60_000, data)).is_ok();
    assert!(asks(trade(None, "1.10", "0.001").into()));
    assert!(
        asks(trade(None, "79228162514264337593543.95", "1").into()),
        "as large as prices get"
    );
    assert!(!asks(trade(None, "79228162514264337593543.94", "1").into()));
    assert!(!asks(trade(None, "0.0000000000000000000000000001", "1").into()));
    assert!(asks(quote("1", "1", "1.05", "1").into()) && asks(quote("0", "0", "1.05", "1").into()));
    assert!(!asks(quote("1.01", "1", "1.05", "1").into()) && !asks(quote("1", "1", "1.06", "1").into()));
    assert!(asks(candle(["1", "2", "0.5", "1"], true).into()) && !asks(candle(["1", "2", "0.51", "1"], true).into()));
    assert!(!asks(
        Ticker {
            low: Some(number("0.01")),
            ..Ticker::new(number("1"))
        }
        .into()
    ));
    let levels = |price| book(BookKind::Delta, None, &[("1", "1")], &[(price, "0")]);
    assert!(asks(levels("1.05").into()) && !asks(levels("1.04").into()));
    let told = apply(
        &mut enrich(config().off_step(Action::Reject), &tables()),
        vec![print(1, "1.01", "1")],
    );
    let expected = "the event breaks off_step: prices are multiples of the price step (0.05)";
    assert_eq!(told.rejected[0].message, expected);
}

#[test]
fn a_step_that_is_none_is_not_asked_for() {
    for step in ["0", "-0.05"] {
        let tables = Tables::new([TABLE]);
        let described = instrument("c0usd", "C0/USD", true, Some(step));
        tables.instruments(TABLE).unwrap().update(&[described]);
        let mut enrich = enrich(config().off_step(Action::Reject), &tables);
        only(apply(&mut enrich, vec![print(1, "1.01", "1")]));
    }
}

/// An aggregator's price, a gap or a description is not traded: nothing is asked of it, and it is enriched all the same.
#[test]
fn what_is_no_market_data_is_not_judged() {
    let price = Price {
        price: number("1"),
        market_cap: None,
        volume_24h: None,
        change_24h: None,
    };
    let strict = config().unknown_instrument(Action::Reject);
    for data in [price.into(), gap(1, 2, GapReason::Disconnect).into()] {
        let data: Data = data;
        let out = apply(&mut enrich(strict.clone(), &tables()), vec![event(symbol(2), 1, data)]);
        let event = only(out);
        assert_eq!(event.enrichment.unwrap().quote_currency, label("USD"));
        assert_eq!(event.quality, Quality::High);
    }
    let described = instrument("new", "C9/USD", true, None);
    only(apply(&mut enrich(strict, &tables()), vec![described]));
}

#[test]
fn aliases_and_quote_currencies() {
    let mut enrich = Enrich::new(EnrichConfig::default().validated_at(false)).unwrap();
    let mut through = |pair: &str| {
        let event = event(Symbol::new(pair).unwrap(), 1, trade(None, "1", "1"));
        let event = only(apply(&mut enrich, vec![event]));
        let currency = event.enrichment.unwrap().quote_currency.unwrap();
        (event.symbol.as_str(), currency.as_str())
    };
    assert_eq!(through("XBT/USDT"), ("BTC/USDT", "USD"));
    assert_eq!(through("BTC/USD"), ("BTC/USD", "USD"));
    assert_eq!(through("XDG/XBT"), ("DOGE/BTC", "BTC"));
    assert_eq!(through("ETH/EUR"), ("ETH/EUR", "EUR"));

    let own = EnrichConfig::default()
        .validated_at(false)
        .aliases([("MIOTA", "IOTA")])
        .quote_currencies([("EURC", "EUR")]);
    let through = |config: &EnrichConfig, pair: &str| {
        let event = event(Symbol::new(pair).unwrap(), 1, trade(None, "1", "1"));
        only(apply(&mut Enrich::new(config.clone()).unwrap(), vec![event]))
    };
    let event = through(&own, "MIOTA/EURC");
    assert_eq!(event.symbol.as_str(), "IOTA/EURC");
    assert_eq!(event.enrichment.unwrap().quote_currency, label("EUR"));
    assert_eq!(
        through(&own, "XBT/USDT").symbol.as_str(),
        "XBT/USDT",
        "the defaults are replaced"
    );
    let none: [(&str, &str); 0] = [];
    let event = through(&own.quote_currencies(none), "BTC/EURC");
    assert_eq!(event.enrichment, None, "there is nothing to add");
}

#[test]
fn a_table_finds_canonical_names_first_and_native_names_too() {
    let tables = Tables::new([TABLE]);
    tables.instruments(TABLE).unwrap().update(&[
        instrument("XBT/USD", "BTC/USD", true, None),
        // Once LUNA, now LUNC; the name was given to another coin.
        instrument("LUNA/USD", "LUNC/USD", true, None),
        instrument("LUNA2/USD", "LUNA/USD", true, None),
        instrument("XBTM/USD", "XBT/EUR", true, None),
    ]);
    let mut enrich = enrich(config(), &tables);
    let mut through = |pair: &str| {
        let event = event(Symbol::new(pair).unwrap(), 1, trade(None, "1", "1"));
        let event = only(apply(&mut enrich, vec![event]));
        let native = event.enrichment.as_ref().unwrap().native.map(Label::as_str);
        (event.symbol.as_str(), native)
    };
    assert_eq!(through("BTC/USD"), ("BTC/USD", Some("XBT/USD")));
    assert_eq!(through("XBT/USD"), ("BTC/USD", Some("XBT/USD")), "by the alias");
    assert_eq!(
        through("LUNA2/USD"),
        ("LUNA/USD", Some("LUNA2/USD")),
        "by the native name"
    );
    assert_eq!(
        through("LUNA/USD"),
        ("LUNA/USD", Some("LUNA2/USD")),
        "canonical names come first"
    );
    assert_eq!(
        through("XBT/EUR"),
        ("BTC/EUR", Some("XBTM/USD")),
        "a table with another name for it"
    );
    assert_eq!(through("BTC/CHF"), ("BTC/CHF", None));
}

#[test]
fn the_table_may_change() {
    let tables = tables();
    let mut enrich = enrich(config(), &tables);
    let unknown = || event(symbol(2), 1, trade(None, "1", "1"));
    let mut through = || reasons(&only(apply(&mut enrich, vec![unknown()])));
    assert_eq!(through(), ["unknown_instrument"]);
    let table = tables.instruments(TABLE).unwrap();
    table.update(&[instrument("c2usd", "C2/USD", false, None)]);
    assert_eq!(through(), ["inactive_instrument"]);
    table.update(&[instrument("c2usd", "C2/USD", true, None)]);
    assert!(through().is_empty());
}

#[test]
fn the_time_is_read_once_for_a_batch() {
    let clock = Arc::new(AtomicI64::new(100));
    let now = Arc::clone(&clock);
    let mut enrich = Enrich::new(EnrichConfig::default())
        .unwrap()
        .with_clock(move || at(now.fetch_add(1, Relaxed)));
    let times = |out: Output| -> Vec<_> {
        let enrichments = out.events.iter().map(|event| event.enrichment.as_ref().unwrap());
        enrichments
            .map(|enrichment| enrichment.validated_at.unwrap().millis())
            .collect()
    };
    let batch = || (1..=3).map(|at| print(at, "1", "1")).collect::<Vec<_>>();
    assert_eq!(times(apply(&mut enrich, batch())), [100, 100, 100]);
    assert_eq!(times(apply(&mut enrich, batch())), [101, 101, 101]);
    assert_eq!(enrich.snapshot().unwrap(), None);
}

#[test]
fn events_of_one_instrument_share_what_is_added() {
    let out = apply(
        &mut enrich(config(), &tables()),
        vec![print(1, "1", "1"), print(2, "1", "1")],
    );
    let [one, two] = [0, 1].map(|at| Arc::as_ptr(out.events[at].enrichment.as_ref().unwrap()));
    assert_eq!(one, two);
}

#[test]
fn what_was_added_before_is_kept_where_nothing_newer_is_known() {
    let idle = event(symbol(2), 1, quote("0", "0", "1", "1"));
    let marked = only(apply(&mut Validate::default(), vec![idle]));
    assert_eq!((marked.quality, reasons(&marked)), (Quality::Low, vec!["empty_quote"]));
    let once = only(apply(&mut enrich(config(), &tables()), vec![marked]));
    assert_eq!(once.quality, Quality::Low, "the lower quality stays");
    assert_eq!(reasons(&once), ["empty_quote", "unknown_instrument"]);
    let twice = only(apply(&mut enrich(config(), &tables()), vec![once.clone()]));
    assert_eq!(twice, once, "once more changes nothing");

    let described = only(apply(&mut enrich(config(), &tables()), vec![print(1, "1", "1")]));
    let bare = EnrichConfig::default().validated_at(false);
    let again = only(apply(&mut Enrich::new(bare).unwrap(), vec![described.clone()]));
    assert_eq!(again, described);
}

#[test]
fn a_duplicate_is_one_whatever_was_added_to_it() {
    let mut events = vec![
        event(symbol(0), 1, trade(Some(7), "1", "1")),
        event(symbol(0), 60_000, candle(["1", "2", "1", "2"], true)),
        event(symbol(0), 2, quote("1", "1", "2", "1")),
    ];
    let mut enrich = enrich(EnrichConfig::default().instruments(TABLE), &tables());
    events.extend(apply(&mut enrich, events.clone()).events);
    let mut dedupe = Dedupe::default();
    assert_eq!(apply(&mut dedupe, events).events.len(), 3);
    assert_eq!(dedupe.dropped(), 3);
}

#[test]
fn a_table_that_is_not_there_is_a_mistake() {
    let mut enrich = Enrich::new(config().instruments("instrument")).unwrap();
    let error = enrich.tables(&tables()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.message(), "unknown table \"instrument\"; known: instruments");
    let mut unprepared = Enrich::new(config()).unwrap();
    let error = unprepared
        .apply(vec![print(1, "1", "1")], &mut Output::default())
        .unwrap_err();
    assert!(error.to_string().contains("not handed over"), "{error}");
}

fn action() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![Action::Pass, Action::Mark, Action::Reject])
}

/// An event without what `enrich` may change.
fn bare(event: &Event) -> Event {
    Event {
        symbol: symbol(0),
        quality: Quality::High,
        enrichment: None,
        ..event.clone()
    }
}

proptest! {
    #[test]
    fn no_price_and_no_number_of_events_changes(events in session(), actions in (action(), action(), action()), cut in 1usize..50) {
        let config = config()
            .unknown_instrument(actions.0)
            .inactive_instrument(actions.1)
            .off_step(actions.2)
            .aliases([("C0", "XX")]);
        let mut enrich = enrich(config, &tables());
        let rejects = [actions.0, actions.1, actions.2].contains(&Action::Reject);
        for batch in events.chunks(cut) {
            let out = apply(&mut enrich, batch.to_vec());
            prop_assert!(out.rejected.is_empty() || rejects);
            let mut passed = out.events.iter();
            let mut refused = out.rejected.iter().peekable();
            for event in batch {
                // Each event comes out once, in order, in one of the two.
                if refused.peek().is_some_and(|refused| refused.event == *event) {
                    refused.next();
                    continue;
                }
                let given = passed.next().unwrap();
                prop_assert_eq!(bare(given), bare(event));
                prop_assert!(given.quality >= event.quality);
                prop_assert_eq!(given.quality > event.quality, !reasons(given).is_empty() && event.quality == Quality::High);
                let renamed = event.symbol == symbol(0);
                prop_assert_eq!(given.symbol.as_str(), if renamed { "XX/USD" } else { event.symbol.as_str() });
            }
            prop_assert!(passed.next().is_none() && refused.next().is_none());
        }
    }

    #[test]
    fn multiples_of_the_step_are_on_it(steps in 1i64..1_000_000_000_000, step in 1i64..1_000, scale in 0u32..12, beside in 0i64..1_000) {
        use qicore_data::Decimal;
        let step = Decimal::new(step, scale);
        let price = step * Decimal::from(steps) + Decimal::new(beside, scale);
        let tables = Tables::new([TABLE]);
        let described = instrument("c0usd", "C0/USD", true, Some(&step.to_string()));
        tables.instruments(TABLE).unwrap().update(&[described]);
        let mut enrich = enrich(config().off_step(Action::Reject), &tables);
        let out = apply(&mut enrich, vec![print(1, &price.to_string(), "1")]);
        let on = beside % i64::try_from(step.mantissa()).unwrap() == 0;
        prop_assert_eq!(out.rejected.is_empty(), on);
    }
}
