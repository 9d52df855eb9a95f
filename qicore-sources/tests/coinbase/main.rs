//! Coinbase Advanced Trade: recorded payloads against their own JSON, and what the venue sends besides.

#![cfg(feature = "coinbase")]

mod books;
mod continuity;
mod damage;
mod payloads;
#[path = "../recorded/mod.rs"]
mod recorded;
mod session;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use proptest::prelude::*;
use qicore_data::{Data, Decimal, Decoded, Decoder as _, Event, EventType, Frame, GapReason, Side, Timestamp};
use qicore_sources::VenueContext;
use qicore_sources::coinbase::Decoder;
use recorded::{Received, all, count, fixture, fixtures, one};
use serde_json::{Value, json};

static SESSION: LazyLock<Vec<Received>> = LazyLock::new(|| recorded::recording("COINBASE.jsonl.zst"));

fn decoder() -> Decoder {
    Decoder::new(&VenueContext::new("coinbase", "coinbase").unwrap())
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
