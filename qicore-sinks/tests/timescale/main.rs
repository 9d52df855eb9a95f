//! The sink on real servers.

mod access;
mod claims;
mod conformance;
mod corrections;
mod cuts;
mod hypertables;
mod outages;
mod refusals;
mod roles;
mod round_trip;
mod searches;
mod trouble;
mod writers;

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::time::Duration;

use qicore_data::{Event, Sink, WriterId};
use qicore_sinks::Timescale;

use common::*;
use servers::Database;

/// A sink that is not open yet.
fn sink(place: &Database) -> Timescale {
    Timescale::new(place.connection()).tables(place.tables())
}

/// A pipeline's open sink.
async fn open(place: &Database, pipeline: &str) -> Timescale {
    let sink = sink(place);
    sink.open(&WriterId::new(pipeline, "sink")).await.unwrap();
    sink
}

/// Writes rows as one delivery of a pipeline that goes on where it stood. All of them are to be taken.
async fn put(place: &Database, pipeline: &str, events: Vec<Event>) {
    let sink = open(place, pipeline).await;
    let after = held(&sink, "lane").await;
    let receipt = sink.write(&delivery("lane", after, events)).await.unwrap();
    assert_done(&receipt);
    sink.close().await.unwrap();
}

/// Waits until some session waits for a lock.
async fn until_blocked(place: &Database) {
    let waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !place.value::<bool>(waits).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
