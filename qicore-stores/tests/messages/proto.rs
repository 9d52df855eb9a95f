//! `schemas/qicore.proto` is what is written and read: another implementation of Protobuf, which knows nothing but that
//! file, reads every message as its normalised JSON has it, and what it writes is read.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value};
use qicore_data::decimal::DecimalText;
use qicore_data::{
    BookKind, Checksum, Decimal, Event, EventType, GapReason, InstrumentKind, Origin, Quality, Severity, Side,
    Timeframe, Timestamp,
};
use qicore_stores::messages::Encoding;
use serde_json::json;

use super::one_of_each::one_of_each;
use super::{arbitrary, assert_same, encoded};

const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/qicore.proto");

/// The messages of a .proto file, after `change` of its text.
pub(crate) fn compiled(change: impl FnOnce(String) -> String) -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("qicore.proto");
    std::fs::write(&file, change(std::fs::read_to_string(PROTO).unwrap())).unwrap();
    let files = protox::compile([&file], [folder.path()]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
}

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| compiled(|text| text));

pub(crate) fn message(pool: &DescriptorPool, name: &str) -> MessageDescriptor {
    pool.get_message_by_name(&format!("qicore.v1.{name}")).unwrap()
}

fn read(event: &Event) -> DynamicMessage {
    let payload = encoded(Encoding::Protobuf, event);
    DynamicMessage::decode(message(&POOL, "Event"), &payload[..]).unwrap()
}

/// The normalised JSON of what the other implementation has read.
fn normalised(event: &DynamicMessage) -> serde_json::Value {
    let mut out = serde_json::Map::new();
    for (field, value) in event.fields() {
        if let (Some(_), Some(data)) = (field.containing_oneof(), value.as_message()) {
            out.insert("type".into(), field.name().into());
            put_fields(data, &mut out);
        } else if field.name() == "enrichment" {
            out.insert(field.name().into(), enrichment(value));
        } else {
            out.insert(field.name().into(), plain(&field, value));
        }
    }
    if out["type"] == "candle" {
        let mut metadata = json!({"source": out["origin"], "quality": out.get("quality").unwrap_or(&json!("high"))});
        if let Some(revision) = out.get("revision") {
            metadata["revision"] = revision.clone();
        }
        out.retain(|name, _| !["origin", "quality", "revision"].contains(&name.as_str()));
        out.insert("metadata".into(), metadata);
    }
    out.into()
}

/// Each field that is there; reasons are the only list.
fn enrichment(value: &Value) -> serde_json::Value {
    let fields = value.as_message().unwrap().fields();
    let told = fields.map(|(field, value)| {
        let told = match value {
            Value::List(reasons) => reasons.iter().map(|reason| reason.as_str().unwrap()).collect(),
            value => plain(&field, value),
        };
        (field.name().to_owned(), told)
    });
    serde_json::Value::Object(told.collect())
}

fn put_fields(message: &DynamicMessage, out: &mut serde_json::Map<String, serde_json::Value>) {
    assert_eq!(message.unknown_fields().count(), 0, "{message:?}");
    for field in message.descriptor().fields() {
        let value = message.get_field(&field);
        match field.name() {
            "levels" => put_levels(value.as_message().unwrap(), out),
            // Not written where they are false, but always in the JSON.
            "closed" | "active" => _ = out.insert(field.name().into(), plain(&field, &value)),
            name if message.has_field(&field) => _ = out.insert(name.into(), plain(&field, &value)),
            _ => {}
        }
    }
}

fn put_levels(levels: &DynamicMessage, out: &mut serde_json::Map<String, serde_json::Value>) {
    let column = |name| decimals(levels.get_field_by_name(name).unwrap().as_message().unwrap());
    for (side, prices, sizes) in [("bids", "bid_prices", "bid_sizes"), ("asks", "ask_prices", "ask_sizes")] {
        let levels: Vec<_> = column(prices)
            .into_iter()
            .zip(column(sizes))
            .map(|pair| json!([pair.0, pair.1]))
            .collect();
        out.insert(side.into(), levels.into());
    }
}

fn number(message: &DynamicMessage, name: &str) -> u64 {
    let value = message.get_field_by_name(name).unwrap();
    value.as_u64().or(value.as_u32().map(u64::from)).unwrap()
}

/// As the comment on `Decimal` says.
fn decimal(low: u64, high: u64, sign_scale: u64) -> String {
    let mantissa = i128::from(high) << 64 | i128::from(low);
    let mantissa = if sign_scale % 2 == 1 { -mantissa } else { mantissa };
    let value = Decimal::from_i128_with_scale(mantissa, (sign_scale >> 1) as u32);
    DecimalText::new(value).as_str().to_owned()
}

fn decimals(message: &DynamicMessage) -> Vec<String> {
    let column = |name| -> Vec<u64> {
        let value = message.get_field_by_name(name).unwrap();
        let number = |value: &Value| value.as_u64().or(value.as_u32().map(u64::from)).unwrap();
        value.as_list().unwrap().iter().map(number).collect()
    };
    let (low, high, sign_scale) = (column("low"), column("high"), column("sign_scale"));
    assert!(high.is_empty() || high.len() == low.len(), "{message:?}");
    assert_eq!(low.len(), sign_scale.len(), "{message:?}");
    let value = |at: usize| decimal(low[at], high.get(at).copied().unwrap_or(0), sign_scale[at]);
    (0..low.len()).map(value).collect()
}

fn plain(field: &FieldDescriptor, value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => json!(flag),
        Value::U32(number) => json!(number),
        Value::U64(number) => json!(number),
        Value::I64(nanos) => json!(Timestamp::from_nanos(*nanos)),
        Value::String(text) if field.name() == "params" => serde_json::from_str(text).unwrap(),
        Value::String(text) => json!(text),
        Value::EnumNumber(number) => {
            let kind = field.kind();
            let kind = kind.as_enum().unwrap();
            json!(word(kind.name(), kind.get_value(*number).unwrap().name()))
        }
        Value::Message(message) if message.descriptor().name() == "TradeId" => {
            let text = message.get_field_by_name("text").unwrap();
            match message.has_field_by_name("text") {
                true => json!(text.as_str().unwrap()),
                false => json!(number(message, "number").to_string()),
            }
        }
        Value::Message(message) => {
            assert_eq!(message.descriptor().name(), "Decimal");
            json!(decimal(
                number(message, "low"),
                number(message, "high"),
                number(message, "sign_scale")
            ))
        }
        other => panic!("{}: {other:?}", field.full_name()),
    }
}

/// `GAP_REASON_OVERFLOW` of `GapReason` is `overflow`.
fn word(kind: &str, value: &str) -> String {
    let parts = kind.chars().flat_map(|c| {
        c.is_uppercase()
            .then_some('_')
            .into_iter()
            .chain([c.to_ascii_uppercase()])
    });
    let prefix: String = parts.skip(1).chain(['_']).collect();
    value.strip_prefix(&prefix).unwrap().to_lowercase()
}

#[track_caller]
fn assert_told(event: &Event) {
    let message = read(event);
    assert_eq!(normalised(&message), serde_json::to_value(event).unwrap());
    assert_same(Encoding::Protobuf.decode(&message.encode_to_vec()), event);
}

#[test]
fn one_of_each_is_told() {
    one_of_each().iter().for_each(assert_told);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_event_is_told(event in arbitrary::event()) {
        assert_told(&event);
    }
}

/// The numbers of closed sets are the places of their words.
#[test]
fn the_words_of_enums() {
    let all = [
        ("Quality", Quality::NAMES),
        ("Side", Side::NAMES),
        ("BookKind", BookKind::NAMES),
        ("Checksum", Checksum::NAMES),
        ("Origin", Origin::NAMES),
        ("InstrumentKind", InstrumentKind::NAMES),
        ("GapReason", GapReason::NAMES),
        ("Severity", Severity::NAMES),
    ];
    for (name, words) in all {
        let kind = POOL.get_enum_by_name(&format!("qicore.v1.{name}")).unwrap();
        let described: Vec<_> = kind
            .values()
            .map(|value| (value.number() as usize, word(name, value.name())))
            .collect();
        let known = ["unspecified"].iter().chain(words).map(|word| (*word).to_owned());
        assert_eq!(described, known.enumerate().collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(POOL.all_enums().count(), all.len());
    let text = std::fs::read_to_string(PROTO).unwrap();
    assert!(
        text.contains(&Timeframe::NAMES.join(" ")),
        "the comment on Candle.timeframe lists them all"
    );
}

/// Nothing is described that is never written.
#[test]
fn every_field_is_used() {
    fn note(message: &DynamicMessage, used: &mut BTreeSet<String>) {
        for (field, value) in message.fields() {
            used.insert(field.full_name().to_owned());
            if let Some(message) = value.as_message() {
                note(message, used);
            }
        }
    }
    let (mut used, mut runner) = (BTreeSet::new(), TestRunner::deterministic());
    for event_type in EventType::ALL {
        for _ in 0..40 {
            let event = arbitrary::event_of(*event_type)
                .new_tree(&mut runner)
                .unwrap()
                .current();
            note(&read(&event), &mut used);
        }
    }
    let described = POOL
        .all_messages()
        .flat_map(|message| message.fields().collect::<Vec<_>>());
    assert_eq!(
        described
            .map(|field| field.full_name().to_owned())
            .collect::<BTreeSet<_>>(),
        used
    );
}
