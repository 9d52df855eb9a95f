//! What a message's headers tell of it.

use qicore_data::{EventType, Label};
use rdkafka::message::{Header, OwnedHeaders};

use crate::messages::{Encoding, VERSION};

pub(super) const EVENT_TYPE: &str = "event-type";
pub(super) const SCHEMA_VERSION: &str = "schema-version";
pub(super) const CONTENT_TYPE: &str = "content-type";
pub(super) const SOURCE: &str = "source";

/// The headers of a message, made once for all messages of a kind and a source.
#[derive(Debug, Clone)]
pub struct Headers {
    pub(super) owned: OwnedHeaders,
    bytes: usize,
}

impl Headers {
    /// Of an event.
    pub fn of(event_type: EventType, source: Label, encoding: Encoding) -> Self {
        let version = VERSION.to_string();
        let all = [
            (EVENT_TYPE, event_type.as_str()),
            (SCHEMA_VERSION, &version),
            (CONTENT_TYPE, encoding.content_type()),
            (SOURCE, source.as_str()),
        ];
        Self::new(&all)
    }

    /// Of a message that is something else.
    pub fn new(all: &[(&str, &str)]) -> Self {
        let owned = all
            .iter()
            .fold(OwnedHeaders::new_with_capacity(all.len()), |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(*value),
                })
            });
        // Each has two lengths of a few bytes.
        let bytes = all.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        Self { owned, bytes }
    }

    /// Their bytes in a message, at most.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
