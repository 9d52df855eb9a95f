//! JSON Schemas (draft 2020-12) of the messages, made from the columns of events and the words of closed sets.
//!
//! Shipped as `schemas/*.schema.json` and printed by `qicore schema json`. Each stands alone, and allows fields that it does not know,
//! as readers do. What it says of a decimal and a time is what QiCore writes; QiCore itself also reads exponents and other
//! time zones.
//!
//! ```
//! use qicore_data::EventType;
//! let schema = qicore_stores::messages::schema::json_schema(EventType::Trade);
//! assert_eq!(schema["properties"]["side"]["enum"][0], "buy");
//! ```

mod texts;

use qicore_data::columns::{Column, Kind, columns};
use qicore_data::{Decimal, Error, EventType, InstrumentKind, Result};
use serde_json::{Map, Value, json};

use super::VERSION;

type Object = Map<String, Value>;

/// The name of a dead letter's schema.
const DEAD_LETTER: &str = "dead-letter";

/// All schemas with their names: the types of events, and `dead-letter`.
pub fn all() -> Vec<(&'static str, Value)> {
    let events = EventType::ALL
        .iter()
        .map(|event_type| (event_type.as_str(), json_schema(*event_type)));
    events.chain([(DEAD_LETTER, dead_letter_schema())]).collect()
}

/// The schema of this name: a type of events, or `dead-letter`.
///
/// # Errors
/// [`Config`](qicore_data::ErrorKind::Config) with all names, if it is none of them.
pub fn named(name: &str) -> Result<Value> {
    let all = all();
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let unknown = || Error::config("schema", format!("{name:?} is none of {}", names.join(", ")));
    let found = all.iter().find(|(of, _)| *of == name);
    found.map(|(_, schema)| schema.clone()).ok_or_else(unknown)
}

/// The schema of an event's message.
pub fn json_schema(event_type: EventType) -> Value {
    let Value::Object(event) = event(event_type) else {
        return Value::Null;
    };
    standalone(event_type.as_str(), event, definitions())
}

/// The schema of a dead letter: a line of a dead-letter file, a message of a dead-letter topic.
pub fn dead_letter_schema() -> Value {
    let mut defs = definitions();
    for event_type in EventType::ALL {
        defs.insert(event_type.as_str().to_owned(), event(*event_type));
    }
    let kinds: Vec<_> = EventType::ALL
        .iter()
        .map(|kind| json!({"$ref": format!("#/$defs/{kind}")}))
        .collect();
    let text = |description: &str| json!({"type": "string", "description": description});
    let letter = json!({
        "title": DEAD_LETTER,
        "description": "A row or payload that could not be processed, with what is needed to find out why and to try again.",
        "type": "object",
        "required": ["id", "at", "pipeline", "source", "stage", "reason", "error", "lane", "offset"],
        "properties": {
            "id": text("The same for the same row in every run, so that a redelivered letter can be told."),
            "at": time("When it was written."),
            "pipeline": text("The pipeline."),
            "source": text("The source plugin."),
            "stage": text("Where it failed: `decode`, a transform's name, or `sink:` and the sink's name."),
            "reason": text("The rule or kind of error."),
            "error": text("What is wrong, in words."),
            "lane": text("The lane."),
            "offset": count("The place in the lane: the frame's, or the end of the batch that the event was in.", u64::MAX),
            "event": {"description": "The event that was refused.", "anyOf": kinds},
            "raw": text("The payload that could not be decoded, as received."),
            "raw_hex": {
                "type": "string",
                "pattern": "^([0-9a-f]{2})*$",
                "description": "The payload that could not be decoded, in hexadecimal digits: it is not UTF-8.",
            },
            "received": time("When the payload was received, if known."),
            "channel": text("Where the payload came from, if known."),
        },
        "oneOf": [{"required": ["event"]}, {"required": ["raw"]}, {"required": ["raw_hex"]}],
    });
    let Value::Object(letter) = letter else {
        return Value::Null;
    };
    standalone(DEAD_LETTER, letter, defs)
}

fn standalone(name: &str, mut schema: Object, defs: Object) -> Value {
    schema.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("$id".to_owned(), format!("urn:qicore:{name}:{VERSION}").into());
    schema.insert("$defs".to_owned(), defs.into());
    schema.into()
}

/// What the properties of all kinds refer to.
fn definitions() -> Object {
    let decimal = json!({
        "description": format!(
            "An exact decimal in plain notation: 96 bits without the point, and at most {} digits behind it. \
             Never a JSON number, which most readers round.",
            Decimal::MAX_SCALE
        ),
        "type": "string",
        "pattern": "^-?[0-9]+([.][0-9]+)?$",
        "maxLength": 31,
    });
    let level = json!({
        "description": "Price and size. Size 0 deletes the level.",
        "type": "array",
        "prefixItems": [{"$ref": "#/$defs/decimal"}, {"$ref": "#/$defs/decimal"}],
        "minItems": 2,
        "maxItems": 2,
    });
    Object::from_iter([("decimal".to_owned(), decimal), ("level".to_owned(), level)])
}

fn event(event_type: EventType) -> Value {
    let about = texts::of_type(event_type);
    let kind = json!({"const": event_type.as_str(), "description": "What the message says."});
    let mut all = Properties::default();
    all.add("type", kind, true);
    let mut metadata = Properties::default();
    let candle = event_type == EventType::Candle;
    for column in columns(event_type) {
        let property = property(event_type, column);
        match (column.name, candle) {
            ("quality", true) => metadata.add("quality", property, true),
            ("origin", true) => metadata.add("source", property, true),
            ("revision", true) => metadata.add("revision", property, false),
            // Absent where it is high.
            ("quality", false) => all.add("quality", property, false),
            (name, _) => all.add(name, property, column.required),
        }
    }
    if candle {
        let mut metadata = metadata.schema();
        metadata["description"] = "Where the candle comes from.".into();
        all.add("metadata", metadata, true);
    }
    all.add("enrichment", enrichment(), false);
    let mut schema = all.schema();
    schema["title"] = event_type.as_str().into();
    schema["description"] = about.into();
    schema
}

/// What is known beyond what the venue sent: of no table, so that no column describes it.
fn enrichment() -> Value {
    let word = |about: &str| name(about, "^\\S+$");
    let step = |about: &str| json!({"$ref": "#/$defs/decimal", "description": about});
    let kinds: Vec<_> = InstrumentKind::ALL.iter().map(|kind| kind.as_str()).collect();
    json!({
        "description": "What is known beyond what the venue sent. Absent: nothing.",
        "type": "object",
        "additionalProperties": true,
        "properties": {
            "validated_at": time("When the event passed validation, by the clock of the process that did it."),
            "reasons": {
                "description": "Why the quality is not high: names of rules.",
                "type": "array",
                "items": {"type": "string"},
            },
            "native": word("The venue's own name of the instrument."),
            "base": word("The instrument's canonical base currency."),
            "quote": word("The instrument's canonical quote currency."),
            "quote_currency": word("The currency that the quote currency stands for: USD for USDT."),
            "kind": {"type": "string", "enum": kinds, "description": "What the instrument is."},
            "active": {"type": "boolean", "description": "Whether the instrument can be traded."},
            "price_step": step("The instrument's smallest price step."),
            "size_step": step("The instrument's smallest size step, in base currency."),
        },
    })
}

/// The properties of an object.
#[derive(Default)]
struct Properties {
    properties: Object,
    required: Vec<String>,
}

impl Properties {
    fn add(&mut self, name: &str, property: Value, required: bool) {
        self.properties.insert(name.to_owned(), property);
        if required {
            self.required.push(name.to_owned());
        }
    }

    fn schema(self) -> Value {
        json!({
            "type": "object",
            "properties": self.properties,
            "required": self.required,
            "additionalProperties": true,
        })
    }
}

fn property(event_type: EventType, column: &Column) -> Value {
    let about = texts::of_column(event_type, column.name);
    match (column.kind, column.name) {
        (Kind::Decimal, _) => json!({"$ref": "#/$defs/decimal", "description": about}),
        (Kind::Time, _) => time(about),
        (Kind::Count, "revision") => count(about, u32::MAX.into()),
        (Kind::Count, _) => count(about, u64::MAX),
        (Kind::Flag, _) => json!({"type": "boolean", "description": about}),
        (Kind::Levels, _) => json!({"type": "array", "items": {"$ref": "#/$defs/level"}, "description": about}),
        (Kind::Json, _) => json!({"type": "object", "description": about}),
        (Kind::Text, _) if !column.words.is_empty() => {
            json!({"type": "string", "enum": column.words, "description": about})
        }
        (Kind::Text, "id" | "message") => json!({"type": "string", "description": about}),
        (Kind::Text, "symbol") => name(about, "^[^/\\s]+/\\S+$"),
        (Kind::Text, _) => name(about, "^\\S+$"),
    }
}

fn name(about: &str, pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": 96, "description": about})
}

fn count(about: &str, most: u64) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": most, "description": about})
}

fn time(about: &str) -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$",
        "description": about,
    })
}
