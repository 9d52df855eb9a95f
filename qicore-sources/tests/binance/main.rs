//! Binance: recorded payloads against their own JSON, and what the venue sends besides.

#![cfg(feature = "binance")]

mod continuity;
mod damage;
mod payloads;
#[path = "../recorded/mod.rs"]
mod recorded;
mod refusals;
mod rest;
mod session;

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use qicore_data::{Data, Decoded, Decoder as _, Event, EventType, Frame, GapReason, InstrumentKind, Side, Timestamp};
use qicore_sources::VenueContext;
use qicore_sources::binance::Decoder;
use recorded::{Received, all, count, fixture, fixtures, one};
use serde_json::{Value, json};

static SESSION: LazyLock<Vec<Received>> = LazyLock::new(|| recorded::recording("BINANCE.jsonl.zst"));

fn context(exchange: &str) -> VenueContext {
    VenueContext::new(exchange, "binance").unwrap()
}

fn decoder() -> Decoder {
    Decoder::new(&context("binance"))
}

/// A time in milliseconds as the normalised JSON has it.
fn millis(value: &Value) -> String {
    Timestamp::from_millis(value.as_i64().unwrap()).unwrap().to_string()
}
