//! Messages of events: what `schemas/` says of them, and recorded sessions in both encodings.

use std::path::PathBuf;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use qicore::sources::decode::{DecodeOutput, FileDecoder};
use qicore::stores::messages::{Encoding, schema};
use qicore::{DeadLetter, Error, Event, EventType, Frame, Lane, Payload, Result, Timestamp};
use serde_json::{Value, json};

#[path = "../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A schema against which values are checked.
struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

/// Fails if the schema itself is none.
fn validator(schema: &Value) -> Validator {
    let id = schema["$id"].as_str().unwrap();
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.set_default_draft(Draft::V2020_12);
    compiler.enable_format_assertions();
    compiler.add_resource(id, schema.clone()).unwrap();
    let index = compiler.compile(id, &mut schemas).unwrap();
    Validator { schemas, index }
}

impl Validator {
    fn is_valid(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

/// The validators of all types, by their index.
fn validators() -> Vec<Validator> {
    EventType::ALL
        .iter()
        .map(|event_type| validator(&schema::json_schema(*event_type)))
        .collect()
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value) {
    if let Err(error) = validator.schemas.validate(value, validator.index) {
        panic!("{value}: {error}");
    }
}

/// The folder holds what is generated: with `QICORE_WRITE_SCHEMAS=1` this test writes it.
#[test]
fn shipped_schemas_are_the_generated() {
    let write = std::env::var_os("QICORE_WRITE_SCHEMAS").is_some();
    let folder = PathBuf::from(ROOT).join("schemas");
    let mut names = vec!["qicore.proto".to_owned()];
    for (name, schema) in schema::all() {
        let file = format!("{name}.schema.json");
        if write {
            std::fs::write(folder.join(&file), format!("{schema:#}\n")).unwrap();
        }
        let shipped = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
        assert!(
            serde_json::from_str::<Value>(&shipped).ok().as_ref() == Some(&schema),
            "schemas/{file} is not what is generated: run QICORE_WRITE_SCHEMAS=1 cargo test --test messages"
        );
        names.push(file);
    }
    let found = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = found.collect();
    found.sort();
    names.sort();
    assert_eq!(found, names);
}

#[test]
fn one_of_each_is_valid() {
    let validators = validators();
    for event in one_of_each::one_of_each() {
        let (own, value) = (event.event_type().index(), serde_json::to_value(&event).unwrap());
        for (index, validator) in validators.iter().enumerate() {
            match index == own {
                true => assert_valid(validator, &value),
                false => assert!(!validator.is_valid(&value), "{value} as a {}", EventType::ALL[index]),
            }
        }
        // Newer fields are ignored.
        let mut newer = value;
        newer["venue_note"] = json!([1, {}]);
        assert_valid(&validators[own], &newer);
    }
}

/// Every property that the schema requires, and no other, is one that `Event` cannot be read without.
#[test]
fn what_is_required() {
    for event in one_of_each::one_of_each() {
        let value = serde_json::to_value(&event).unwrap();
        let schema = schema::json_schema(event.event_type());
        for name in value.as_object().unwrap().keys() {
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(name);
            let required = schema["required"].as_array().unwrap().contains(&json!(name));
            assert_eq!(
                serde_json::from_value::<Event>(without).is_err(),
                required,
                "{}.{name}",
                event.event_type()
            );
        }
    }
}

#[test]
fn broken_messages_are_not_valid() {
    let validators = validators();
    let events = one_of_each::one_of_each();
    let cases: &[(EventType, &str, Value)] = &[
        (EventType::Trade, "/price", json!(354.11)),
        (EventType::Trade, "/price", json!("1e5")),
        (EventType::Trade, "/price", json!("nan")),
        (EventType::Trade, "/price", json!(null)),
        (EventType::Trade, "/id", json!(7)),
        (EventType::Trade, "/side", json!("auction")),
        (EventType::Trade, "/symbol", json!("BTCUSD")),
        (EventType::Trade, "/exchange", json!("two words")),
        (EventType::Trade, "/timestamp", json!("2026-13-09T21:05:48Z")),
        (EventType::Trade, "/timestamp", json!(1786309548)),
        (EventType::Candle, "/timeframe", json!("2d")),
        (EventType::Candle, "/closed", json!("true")),
        (EventType::Candle, "/trades", json!(-1)),
        (EventType::Candle, "/metadata/source", json!("guessed")),
        (EventType::Candle, "/metadata", json!({"source": "rest"})),
        (EventType::Book, "/bids", json!([["1.0"]])),
        (EventType::Book, "/bids", json!([["1.0", "2", "3"]])),
        (EventType::Book, "/bids", json!([[1.0, "2"]])),
        (EventType::Book, "/sequence", json!("9")),
    ];
    for (event_type, pointer, broken) in cases {
        let mut value = serde_json::to_value(&events[event_type.index()]).unwrap();
        *value.pointer_mut(pointer).unwrap() = broken.clone();
        assert!(!validators[event_type.index()].is_valid(&value), "{pointer} of {value}");
    }
}

fn letter(payload: Payload) -> DeadLetter {
    DeadLetter {
        id: "1".into(),
        at: Timestamp::from_nanos(1),
        pipeline: "p".into(),
        source: "kraken".into(),
        stage: "decode".into(),
        reason: "decode".into(),
        error: "e".into(),
        lane: Lane::new("l"),
        offset: 7,
        payload,
    }
}

#[test]
fn dead_letters_are_valid() {
    let schema = schema::dead_letter_schema();
    let validator = validator(&schema);
    let frame = |payload: &'static [u8]| {
        let frame = Frame::new(7, payload).received(Timestamp::from_nanos(1)).channel("ws");
        Payload::of_frame(&frame)
    };
    let mut letters = vec![letter(frame(b"{}")), letter(frame(&[0xff, 0]))];
    letters.extend(
        one_of_each::one_of_each()
            .into_iter()
            .map(|event| letter(Payload::Event { event: event.into() })),
    );
    for letter in letters {
        let value = serde_json::to_value(&letter).unwrap();
        assert_valid(&validator, &value);
        for name in value.as_object().unwrap().keys() {
            assert!(schema["properties"].get(name).is_some(), "{name} is not described");
            let mut without = value.clone();
            without.as_object_mut().unwrap().remove(name);
            let needed = serde_json::from_value::<DeadLetter>(without.clone()).is_err();
            assert_eq!(!validator.is_valid(&without), needed, "{name}");
        }
        let mut both = value;
        both["raw"] = json!("x");
        both["event"] = json!({"type": "trade"});
        assert!(!validator.is_valid(&both));
    }
}

/// Checks each event: against its schema, and that both encodings give it back.
struct Check {
    validators: Vec<Validator>,
    kinds: Vec<EventType>,
}

impl DecodeOutput for Check {
    fn events(&mut self, events: &[Event]) -> Result<()> {
        for event in events {
            for encoding in Encoding::ALL {
                let mut payload = Vec::new();
                encoding.encode(event, &mut payload)?;
                // With every digit: equal decimals may differ in their scale.
                assert_eq!(format!("{:?}", encoding.decode(&payload)?), format!("{event:?}"));
            }
            let value = serde_json::to_value(event).unwrap();
            assert_valid(&self.validators[event.event_type().index()], &value);
            if !self.kinds.contains(&event.event_type()) {
                self.kinds.push(event.event_type());
            }
        }
        Ok(())
    }

    fn rejected(&mut self, place: &str, error: &Error) -> Result<()> {
        panic!("{place}: {error}");
    }
}

#[tokio::test]
async fn recorded_sessions() {
    let mut check = Check {
        validators: validators(),
        kinds: Vec::new(),
    };
    for venue in ["KRAKEN", "COINBASE", "BINANCE"] {
        let path = PathBuf::from(format!("{ROOT}/examples/data/{venue}.jsonl.zst"));
        FileDecoder::new(None, &mut check).file(&path).await.unwrap();
    }
    check.kinds.sort();
    let recorded = [
        EventType::Trade,
        EventType::Quote,
        EventType::Ticker,
        EventType::Book,
        EventType::Candle,
        EventType::Instrument,
    ];
    assert_eq!(check.kinds, recorded);
}
