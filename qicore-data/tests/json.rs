//! The normalised JSON: every kind of event as DESIGN has it, and back.

mod one_of_each;

use std::sync::Arc;

use one_of_each::one_of_each;
use proptest::prelude::*;
use qicore_data::{Data, Decimal, Enrichment, Event, InstrumentKind, Label, Quality, Timestamp, TradeId};

#[test]
fn the_written_form() {
    let lines: Vec<_> = one_of_each()
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_written_is_read_back() {
    for event in one_of_each() {
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event, "{line}");
    }
}

/// The direct way to JSON text writes what the way through serde writes.
#[track_caller]
fn written_alike(event: &Event) {
    let mut text = b"before".to_vec();
    event.append_json(&mut text).unwrap();
    let expected = format!("before{}", serde_json::to_string(event).unwrap());
    assert_eq!(String::from_utf8(text).unwrap(), expected);
}

#[test]
fn both_ways_to_write_agree() {
    one_of_each().iter().for_each(written_alike);
}

#[test]
fn texts_with_something_to_escape_are_written_alike() {
    for mut event in one_of_each() {
        for text in ["a\"b", "a\\b", "ÅÄ"] {
            event.exchange = text.parse().unwrap();
            event.symbol = format!("{text}/{text}").parse().unwrap();
            event.source = Label::new(text).unwrap();
            written_alike(&event);
        }
        for text in ["a\"b", "a\\b", "a\nb", "\u{1}", "\u{7f}", "ÅÄ\u{2028}", ""] {
            match &mut event.data {
                Data::Trade(trade) => trade.id = Some(TradeId::new(text)),
                Data::Alert(alert) => alert.message = text.into(),
                _ => continue,
            }
            written_alike(&event);
        }
    }
}

#[test]
fn newer_fields_are_ignored_and_missing_ones_named() {
    let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1","size":"2","venue_note":[1,{}]}"#;
    let event: Event = serde_json::from_str(line).unwrap();
    assert_eq!(event.quality, Quality::High);
    let told = |line: &str| serde_json::from_str::<Event>(line).unwrap_err().to_string();
    assert!(told(&line.replace("\"size\":\"2\",", "")).contains("missing field `size`"));
    assert!(told(&line.replace("\"trade\"", "\"print\"")).contains("unknown event type \"print\""));
    // A JSON number has lost its digits by the time serde hands it over.
    assert!(told(&line.replace("\"price\":\"1\"", "\"price\":1.5")).contains("a decimal in a string"));
}

fn read(line: &str) -> Event {
    serde_json::from_str(line).unwrap()
}

/// Whatever a newer program calls a field of a kind, and whatever another kind means by that name, it is passed over.
#[test]
fn names_of_other_kinds_fields_are_free() {
    let all = one_of_each()
        .into_iter()
        .map(|event| serde_json::to_value(event).unwrap());
    let mut names: Vec<String> = all
        .flat_map(|line| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 40, "{names:?}");
    for event in one_of_each() {
        let line = serde_json::to_string(&event).unwrap();
        let schema = include_str!("../../schemas/qicore.proto");
        let own = serde_json::to_value(&event).unwrap();
        let message = schema
            .split(&format!("message {:?} {{", event.event_type()))
            .nth(1)
            .unwrap();
        let message = message.split("\n}").next().unwrap();
        for name in &names {
            let optional = message.contains(&format!(" {name} = "));
            let header = ["received", "quality", "enrichment"].contains(&name.as_str());
            if own.get(name).is_some() || optional || header {
                continue;
            }
            for value in ["1.5", "\"Bitcoin / US Dollar\"", "[{}]", "null"] {
                let newer = format!("{},\"{name}\":{value}}}", line.strip_suffix('}').unwrap());
                assert_eq!(Event::from_json(&newer).unwrap(), event, "{newer}");
            }
        }
    }
}

#[test]
fn the_type_may_come_late_but_once() {
    for event in one_of_each() {
        let line = serde_json::to_string(&event).unwrap();
        let (kind, rest) = line.strip_prefix('{').unwrap().split_once(',').unwrap();
        let late = format!("{{{},{kind}}}", rest.strip_suffix('}').unwrap());
        assert_eq!(Event::from_json(&late).unwrap(), event, "{late}");
        for twice in [
            format!("{},{kind}}}", line.strip_suffix('}').unwrap()),
            format!("{{{kind},{}", line.strip_prefix('{').unwrap()),
            format!("{{\"exchange\":\"x\",{}", line.strip_prefix('{').unwrap()),
        ] {
            assert!(Event::from_json(&twice).is_err(), "{twice}");
        }
    }
    let told = serde_json::from_str::<Event>("{}").unwrap_err().to_string();
    assert!(told.contains("missing field `type`"), "{told}");
}

#[test]
fn an_enrichment_is_one_object() {
    let label = |text: &str| Some(Label::new(text).unwrap());
    let enrichment = Enrichment {
        validated_at: Some("2026-08-09T21:05:49.000000001Z".parse().unwrap()),
        reasons: vec![label("crossed_quote").unwrap(), label("off_step").unwrap()],
        native: label("XBT/USDT"),
        base: label("BTC"),
        quote: label("USDT"),
        quote_currency: label("USD"),
        kind: Some(InstrumentKind::Spot),
        active: Some(true),
        price_step: Some(Decimal::new(1, 1)),
        size_step: Some(Decimal::new(1, 8)),
    };
    let mut event = one_of_each().swap_remove(1);
    event.enrichment = Some(Arc::new(enrichment));
    let line = serde_json::to_string(&event).unwrap();
    insta::assert_snapshot!(line);
    assert_eq!(read(&line), event);
    let newer = line.replace(
        "\"active\":true",
        "\"active\":true,\"listed_at\":[1,{}],\"sector\":null",
    );
    assert_eq!(read(&newer), event, "newer fields inside are ignored");
}

fn enrichment() -> impl Strategy<Value = Enrichment> {
    let names = ["XBT/USD", "BTC", "USD", "off_step", "empty_quote", "ÅÄ"];
    let name = move || prop::option::of(prop::sample::select(names.to_vec())).prop_map(label_of);
    let decimal =
        || prop::option::of((any::<i64>(), 0u32..=18).prop_map(|(digits, scale)| Decimal::new(digits, scale)));
    let kinds = [InstrumentKind::Spot, InstrumentKind::Perpetual, InstrumentKind::Option];
    let flags = (
        prop::option::of(prop::sample::select(kinds.to_vec())),
        prop::option::of(any::<bool>()),
        prop::option::of((0..i64::MAX / 2).prop_map(Timestamp::from_nanos)),
    );
    let reasons = prop::collection::vec(prop::sample::select(names.to_vec()), 0..4);
    (name(), name(), name(), name(), flags, reasons, decimal(), decimal()).prop_map(
        |(native, base, quote, quote_currency, (kind, active, validated_at), reasons, price_step, size_step)| {
            Enrichment {
                validated_at,
                reasons: reasons.into_iter().filter_map(|name| label_of(Some(name))).collect(),
                native,
                base,
                quote,
                quote_currency,
                kind,
                active,
                price_step,
                size_step,
            }
        },
    )
}

fn label_of(text: Option<&str>) -> Option<Label> {
    text.map(|text| Label::new(text).unwrap())
}

/// A written event with some of its bytes put, changed or removed.
fn damaged() -> impl Strategy<Value = String> {
    let bytes = "\"\\{}[],: 019.-+eEZTnulltrue\u{1}\u{e9}";
    let letter = prop::sample::select(bytes.chars().collect::<Vec<_>>());
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, letter), 0..4);
    (0usize..10, prop::option::of(enrichment()), cuts).prop_map(|(which, enrichment, cuts)| {
        let mut event = one_of_each().swap_remove(which);
        event.enrichment = enrichment.map(Arc::new);
        let mut text: Vec<char> = serde_json::to_string(&event).unwrap().chars().collect();
        for (place, what, letter) in cuts {
            let at = place.index(text.len());
            match what {
                0 => text.insert(at, letter),
                1 => text[at] = letter,
                _ => drop(text.remove(at)),
            }
        }
        text.into_iter().collect()
    })
}

#[test]
fn what_is_not_as_we_write_it_is_read_all_the_same() {
    let line = r#"{"type":"trade","exchange":"x","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","id":"7","price":"1","size":"2"}"#;
    let event = Event::from_json(line).unwrap();
    for other in [
        line.replace("\"price\":\"1\",\"size\":\"2\"", "\"size\":\"2\",\"price\":\"1\""),
        line.replace("\"price\"", "\"note\":[{}],\"price\""),
        line.replace(":", " : ").replace(" : 00", ":00"),
        line.replace("\"7\"", "\"\\u0037\""),
        line.replace("\"1\"", "\"\\u0031\""),
        format!(" {line}\n"),
    ] {
        assert_eq!(Event::from_json(&other).unwrap(), event, "{other}");
    }
    for wrong in [
        line.replace("}", ",\"size\":\"2\"}"),
        line.replace("\"1\"", "\"1\\\""),
        line.replace("\"7\"", "\"7\u{1}\""),
        line.replace("}", "}}"),
        line.replace("}", ""),
    ] {
        let told = Event::from_json(&wrong).unwrap_err().to_string();
        assert_eq!(
            told,
            serde_json::from_str::<Event>(&wrong).unwrap_err().to_string(),
            "{wrong}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Both ways to read agree on everything.
    #[test]
    fn both_ways_to_read_agree(text in damaged()) {
        let read = |event: Result<Event, serde_json::Error>| {
            // Equal decimals may have different zeros at their ends.
            event.map(|event| (serde_json::to_string(&event).unwrap(), event)).map_err(|error| error.to_string())
        };
        prop_assert_eq!(read(Event::from_json(&text)), read(serde_json::from_str(&text)));
    }

    #[test]
    fn any_enrichment_is_read_back(enrichment in prop::option::of(enrichment()), which in 0usize..10) {
        let mut event = one_of_each().swap_remove(which);
        let bare = serde_json::to_string(&event).unwrap();
        event.enrichment = enrichment.map(Arc::new);
        written_alike(&event);
        let line = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(line == bare, event.enrichment.is_none());
        prop_assert!(!line.contains("null"), "{}", line);
        prop_assert_eq!(read(&line), event);
    }
}
