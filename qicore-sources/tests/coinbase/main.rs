//! Coinbase: recorded payloads against their own JSON, and what the venue sends besides.

#![cfg(feature = "coinbase")]

mod books;
mod continuity;
mod damage;
mod exchange;
mod payloads;
#[path = "../recorded/mod.rs"]
mod recorded;
mod refusals;
mod rest;
mod session;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use proptest::prelude::*;
use qicore_data::{Data, Decimal, Decoded, Decoder as _, Error, Event, EventType, Frame, GapReason, Side, Timestamp};
use qicore_sources::VenueContext;
use qicore_sources::coinbase::Decoder;
use recorded::{Received, all, count, fixture, fixtures, one};
use serde_json::{Value, json};

static SESSION: LazyLock<Vec<Received>> = LazyLock::new(|| recorded::recording("COINBASE.jsonl.zst"));

fn decoder() -> Decoder {
    Decoder::new(&VenueContext::new("coinbase", "coinbase").unwrap())
}

/// A decoder of payloads that do not say what they are of.
fn of_channel(channel: &str) -> Decoder {
    let context = VenueContext::new("coinbase", "coinbase").unwrap();
    Decoder::new(&context.channel(Some(channel)).symbol(Some("BTC/USD".parse().unwrap())))
}

/// A decoder of answers, which say by their URL what they are of.
fn answer(url: &str, body: impl AsRef<[u8]>) -> Result<(Decoded, Vec<Event>), Error> {
    let mut events = Vec::new();
    let frame = Frame::new(1, body.as_ref().to_vec()).channel(url);
    let decoded = decoder().decode(&frame, &mut events)?;
    Ok((decoded, events))
}

fn normalised(events: &[Event]) -> Vec<Value> {
    events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect()
}

fn frames() -> impl Iterator<Item = &'static Frame> {
    SESSION.iter().map(|received| &received.frame)
}

fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().map_or(&[], |list| list)
}

/// The place of a message by its number on the connection.
fn place(sequence: u64) -> usize {
    SESSION
        .iter()
        .position(|received| received.json["sequence_num"] == sequence)
        .unwrap()
}

/// A time of the venue, as the normalised JSON has it: the digits themselves, without trailing zeros.
fn time(value: &Value) -> String {
    let text = value.as_str().unwrap();
    match text.strip_suffix('Z').unwrap().split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}Z", fraction.trim_end_matches('0')).replace(".Z", "Z"),
        None => text.to_owned(),
    }
}
