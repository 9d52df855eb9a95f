//! Transforms: what happens to events between a source and the sinks.
//!
//! | name | what it does |
//! |---|---|
//! | [`validate`] | checks every event against named rules; rejects or marks what breaks them |
//! | [`dedupe`] | drops what was seen before; corrections pass |
//! | [`candles`] | builds candles of several timeframes from trades |
//! | [`enrich`] | adds instrument data from a table, canonical symbols and the time of validation |
//! | [`filter`] | passes on what matches |
//! | [`top`] | maintains order books and tells their best levels |
//! | [`map`] | changes events with a program's own closure |
//!
//! All of them are `Clone`: a pipeline clones a fresh one for each lane ([`per_lane`]). None does I/O or
//! depends on where batches begin and end: the same events give the same output, however they are cut, and a copy that
//! takes up a [snapshot](qicore_data::Transform::snapshot) goes on exactly where the first one was. None looks at a
//! clock, but for the time that `enrich` writes down, and the present that `validate` takes for an unknown time of receipt.
//!
//! The usual order is `validate`, `dedupe`, `candles`, `enrich`: an aggregate of a wrong or doubled trade cannot be taken
//! back, and candles are made without an enrichment.

pub mod candles;
pub mod dedupe;
pub mod enrich;
pub mod filter;
pub mod map;
pub mod top;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

pub use candles::{Candles, CandlesConfig};
pub use dedupe::{Dedupe, DedupeConfig};
pub use enrich::{Enrich, EnrichConfig};
pub use filter::{Filter, FilterConfig};
pub use map::Map;
pub use top::{Top, TopConfig};
pub use validate::{Validate, ValidateConfig};

use qicore_data::{Error, ErrorKind, NewTransform, Plugin, Transform};
use serde::{Deserialize, Deserializer};

/// The transforms that a configuration file can name.
///
/// ```
/// use qicore_data::{Registry, Settings};
/// let registry = Registry::default().transforms(qicore_stream::transform::TRANSFORMS);
/// let settings = Settings::parse("type = \"candles\"\ntimeframes = [\"1m\", \"1h\"]")?;
/// let new_lane = registry.transform(settings)?;
/// assert_eq!(new_lane().name(), "candles");
/// # Ok::<(), qicore_data::Mistakes>(())
/// ```
pub const TRANSFORMS: &[Plugin<NewTransform>] = &[
    validate::PLUGIN,
    dedupe::PLUGIN,
    candles::PLUGIN,
    enrich::PLUGIN,
    filter::PLUGIN,
    top::PLUGIN,
];

/// Makes the copies that lanes work with by cloning `fresh`.
///
/// ```
/// use qicore_stream::transform::{Filter, per_lane};
/// use qicore_data::EventType;
/// let new_lane = per_lane(Filter::new(|event| event.event_type() == EventType::Trade));
/// assert_eq!(new_lane().name(), "filter");
/// ```
pub fn per_lane<T: Transform + Clone + Sync + 'static>(fresh: T) -> NewTransform {
    Arc::new(move || Box::new(fresh.clone()))
}

/// The error of a stored state that cannot be taken up.
fn damaged(operation: &'static str, why: impl std::fmt::Display) -> Error {
    let message = format!("the stored state cannot be read: {why}; start the lane without its checkpoint");
    Error::new(ErrorKind::Checkpoint, operation, message)
}

/// Serde form of a duration that may be left out.
fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "qicore_data::settings::duration")] Duration);
    Text::deserialize(deserializer).map(|text| Some(text.0))
}
