//! The sink on a real server.

mod access;
mod both_stores;
mod conformance;
mod corrections;
mod cuts;
mod outages;
mod refusals;
mod rollups;
mod round_trip;
mod tls;

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use qicore_data::{Event, Sink, WriterId};
use qicore_sinks::Clickhouse;

use common::*;

/// A sink that is not open yet.
fn sink(place: &servers::Clickhouse) -> Clickhouse {
    Clickhouse::new(place.connection()).tables(place.tables())
}

/// A pipeline's open sink.
async fn open(place: &servers::Clickhouse, pipeline: &str) -> Clickhouse {
    let sink = sink(place);
    sink.open(&WriterId::new(pipeline, "sink")).await.unwrap();
    sink
}

/// Writes rows as one delivery of a pipeline that goes on where it stood. All of them are to be taken.
async fn put(place: &servers::Clickhouse, pipeline: &str, events: Vec<Event>) {
    let sink = open(place, pipeline).await;
    let after = held(&sink, "lane").await;
    let receipt = sink.write(&delivery("lane", after, events)).await.unwrap();
    assert_done(&receipt);
    sink.close().await.unwrap();
}

/// As [`assert_same`], but for zeros at the end of decimals, which ClickHouse does not keep.
#[track_caller]
fn same(found: &[Event], expected: &[Event]) {
    let plain = |events: &[Event]| -> Vec<Event> {
        let text = |event: &Event| without_zeros(serde_json::to_value(event).unwrap());
        events
            .iter()
            .map(|event| serde_json::from_value(text(event)).unwrap())
            .collect()
    };
    assert_same(&plain(found), &plain(expected));
}

/// All decimals of a JSON value without zeros at their end; ids are no decimals.
fn without_zeros(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => match text.parse::<qicore_data::Decimal>() {
            Ok(decimal) if text.contains('.') => Value::String(decimal.normalize().to_string()),
            _ => Value::String(text),
        },
        Value::Array(values) => values.into_iter().map(without_zeros).collect(),
        Value::Object(values) => Value::Object(
            values
                .into_iter()
                .map(|(name, value)| (name, without_zeros(value)))
                .collect(),
        ),
        other => other,
    }
}
