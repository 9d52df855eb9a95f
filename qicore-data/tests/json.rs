//! The normalised JSON: every kind of event as DESIGN has it, and back.

mod one_of_each;

use one_of_each::one_of_each;
use qicore_data::{Event, Quality};

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
