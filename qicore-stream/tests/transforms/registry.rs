//! Building transforms from configuration files.

use std::time::Duration;

use proptest::prelude::*;
use qicore_data::{ErrorKind, Event, NewTransform, Output, Registry, Settings, Transform};
use qicore_stream::transform::candles::Empty;
use qicore_stream::transform::validate::{Action, Rule};
use qicore_stream::transform::{
    Candles, CandlesConfig, Dedupe, DedupeConfig, TRANSFORMS, Validate, ValidateConfig, per_lane,
};

use crate::common::{Passed, apply, print, session};

fn build(text: &str) -> Result<NewTransform, String> {
    let registry = Registry::default().transforms(TRANSFORMS);
    let settings = Settings::parse(text).map_err(|mistakes| mistakes.to_string())?;
    registry.transform(settings).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn every_transform_has_defaults() {
    for plugin in TRANSFORMS {
        let made = build(&format!("type = {:?}", plugin.name)).unwrap();
        assert_eq!(made().name(), plugin.name);
        assert!(!plugin.about.is_empty());
    }
}

#[test]
fn lanes_do_not_share_state() {
    let new_lane = build("type = \"dedupe\"\ntrades_without_id = true").unwrap();
    let (mut one, mut two) = (new_lane(), new_lane());
    assert_eq!(apply(&mut *one, vec![print(1, "1", "1")]).events.len(), 1);
    assert_eq!(apply(&mut *one, vec![print(1, "1", "1")]).events.len(), 0);
    assert_eq!(apply(&mut *two, vec![print(1, "1", "1")]).events.len(), 1);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, expected) in [
        (
            "type = \"validate\"\nrules = { price = \"reject\" }",
            "line 2: unknown variant `price`, expected one of `timestamp_missing`",
        ),
        (
            "type = \"validate\"\nrules.crossed_quote = \"drop\"",
            "line 2: unknown variant `drop`, expected one of `off`, `mark`, `reject`",
        ),
        (
            "type = \"validate\"\n\nmax_age = \"old\"",
            "line 3: \"old\" is not a duration",
        ),
        (
            "type = \"dedupe\"\nwindow = 0",
            "window is 0: it must be from 1 to 67108864",
        ),
        ("type = \"dedupe\"\nwindw = 5", "line 2: unknown field `windw`"),
        ("type = \"candles\"\ntimeframes = []", "timeframes is empty"),
        (
            "type = \"candles\"\ntimeframes = [\"1m\", \"7m\"]",
            "line 2: unknown timeframe \"7m\"",
        ),
        (
            "type = \"candles\"\nempty = \"fill\"",
            "line 2: unknown variant `fill`, expected `skip` or `carry`",
        ),
        (
            "type = \"enrich\"\ninstruments = \"x\"\noff_step = \"drop\"",
            "line 3: unknown variant `drop`, expected one of `pass`, `mark`, `reject`",
        ),
        (
            "type = \"enrich\"\n\nunknown_instrument = \"reject\"",
            "line 3: unknown_instrument needs a table of instruments",
        ),
        (
            "type = \"enrich\"\naliases = { XBT = \"B T C\" }",
            "line 2: \"B T C\" in aliases is no currency",
        ),
        (
            "type = \"enrich\"\nquote_currencies = { \"A/B\" = \"USD\" }",
            "line 2: \"A/B\" in quote_currencies is no currency",
        ),
        (
            "type = \"filter\"\nkeep = { types = [\"bar\"] }",
            "line 2: unknown event type \"bar\"",
        ),
        (
            "type = \"filter\"\nexclude.symbols = [\"BTC*\"]",
            "line 2: \"BTC*\" is none of BASE/QUOTE",
        ),
        (
            "type = \"map\"",
            "unknown transform \"map\"; known: validate, dedupe, candles, enrich, filter",
        ),
    ] {
        let told = build(text).err().unwrap();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn settings_read_as_they_are_written() {
    let read = |text| Settings::parse(text).unwrap();
    let text = "timeframes = [\"1h\", \"1m\"]\nallowed_lateness = \"500ms\"\ncorrect_for = \"1h\"\nfuture_tolerance = \"1s\"\nempty = \"carry\"\nmax_carry = 3\nemit_open = \"0s\"\npass_through = false";
    let expected = CandlesConfig::new(["1h".parse().unwrap(), "1m".parse().unwrap()])
        .allowed_lateness(Duration::from_millis(500))
        .correct_for(Duration::from_secs(3600))
        .future_tolerance(Duration::from_secs(1))
        .empty(Empty::Carry)
        .max_carry(3)
        .emit_open(Duration::ZERO)
        .pass_through(false);
    assert_eq!(read(text).read::<CandlesConfig>().unwrap(), expected);
    let text = "max_age = \"2h\"\nopen_candles = \"reject\"\n[rules]\nprice_positive = \"mark\"\ngap_order = \"off\"";
    let expected = ValidateConfig::default()
        .max_age(Duration::from_secs(7200))
        .open_candles(Action::Reject)
        .rule(Rule::PricePositive, Action::Mark)
        .rule(Rule::GapOrder, Action::Off);
    assert_eq!(read(text).read::<ValidateConfig>().unwrap(), expected);
}

#[test]
fn states_of_something_else_are_refused() {
    let candles = || Candles::new(CandlesConfig::default()).unwrap();
    let dedupe = || Dedupe::new(DedupeConfig::default()).unwrap();
    let (of_candles, of_dedupe) = (
        candles().snapshot().unwrap().unwrap(),
        dedupe().snapshot().unwrap().unwrap(),
    );
    for state in [
        "",
        "{}",
        "[1]",
        "{\"version\":9,\"seen\":{}}",
        "{\"version\":1,\"seen\":{\"trade\":\"abc\"}}",
        &of_candles,
    ] {
        let error = dedupe().restore(state).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint, "{state}");
    }
    let bar = "[1,[[[60,1,1,null,null],[\"1\",\"x\",\"1\",\"1\"],[\"1e-0\",null,1],[\"high\",true,0,0]]]]";
    let bad_bar =
        format!("{{\"version\":1,\"newest\":0,\"timeframes\":[\"1m\"],\"series\":[[\"v\",\"A/B\",[{bar}]]]}}");
    for state in [
        "",
        "{\"version\":9,\"newest\":0,\"timeframes\":[],\"series\":[]}",
        &bad_bar,
        &of_dedupe,
    ] {
        let error = candles().restore(state).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint, "{state}");
    }
}

fn chain(empty: Empty) -> Vec<Box<dyn Transform>> {
    let candles = CandlesConfig::new(["1m".parse().unwrap(), "5m".parse().unwrap()])
        .empty(empty)
        .max_carry(3)
        .correct_for(Duration::from_secs(60))
        .emit_open(Duration::from_secs(10));
    let stages = [
        per_lane(Validate::default()),
        per_lane(Dedupe::new(DedupeConfig::default().window(20)).unwrap()),
        per_lane(Candles::new(candles).unwrap()),
    ];
    stages.iter().map(|new| new()).collect()
}

fn restart(old: &[Box<dyn Transform>], empty: Empty) -> Vec<Box<dyn Transform>> {
    let mut new = chain(empty);
    for (old, new) in old.iter().zip(&mut new) {
        if let Some(state) = old.snapshot().unwrap() {
            new.restore(&state).unwrap();
            assert_eq!(
                new.snapshot().unwrap(),
                Some(state),
                "a state that is taken up is the same state"
            );
        }
    }
    new
}

fn flush(stage: &mut dyn Transform) -> Vec<Event> {
    let mut out = Output::default();
    stage.flush(&mut out).unwrap();
    out.events
}

proptest! {
    #[test]
    fn neither_batches_nor_restarts_change_the_output(
        events in session(),
        cuts in prop::collection::vec((1usize..40, any::<bool>()), 250),
        carry: bool,
    ) {
        let empty = if carry { Empty::Carry } else { Empty::Skip };
        let (mut whole, mut stages) = (Passed::default(), chain(empty));
        whole.through(&mut stages, events.clone());
        whole.events.extend(flush(&mut *stages[2]));

        let (mut cut, mut stages) = (Passed::default(), chain(empty));
        let mut rest = events;
        for (len, stop) in cuts {
            if rest.is_empty() {
                break;
            }
            let tail = rest.split_off(len.min(rest.len()));
            cut.through(&mut stages, rest);
            rest = tail;
            if stop {
                stages = restart(&stages, empty);
            }
        }
        cut.events.extend(flush(&mut *stages[2]));
        prop_assert_eq!(whole, cut);
    }
}
