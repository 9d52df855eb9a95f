//! One partition's messages.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Error, Result};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::TopicPartition;
use super::group::{Context, Inbox};
use crate::kafka::error::mapped;
use crate::kafka::headers::{CONTENT_TYPE, SCHEMA_VERSION};

/// A partition that this consumer reads.
pub struct Partition {
    place: TopicPartition,
    queue: PartitionQueue<Context>,
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Partition").field(&self.place).finish()
    }
}

/// What a partition gives next.
#[non_exhaustive]
pub enum Polled<'a> {
    /// A message.
    Message(Message<'a>),
    /// There are no more, for now.
    End,
    /// What would come next was removed before it was read.
    Removed,
}

/// A message as it lies in the driver's memory.
pub struct Message<'a>(BorrowedMessage<'a>);

impl Message<'_> {
    /// Its offset.
    pub fn offset(&self) -> u64 {
        self.0.offset().try_into().unwrap_or(0)
    }

    /// The value; `None` marks a key as deleted.
    pub fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }

    /// What its headers tell of the value's form: content type and version.
    pub fn form(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        let (mut content_type, mut version) = (None, None);
        if let Some(headers) = self.0.headers() {
            for header in headers.iter() {
                match header.key {
                    CONTENT_TYPE => content_type = header.value,
                    SCHEMA_VERSION => version = header.value,
                    _ => {}
                }
            }
        }
        (content_type, version)
    }
}

impl Partition {
    pub(super) fn new(place: TopicPartition, mut queue: PartitionQueue<Context>, inbox: Arc<Inbox>) -> Self {
        queue.set_nonempty_callback(move || inbox.wake());
        Self { place, queue }
    }

    /// Which one it is.
    pub fn place(&self) -> &TopicPartition {
        &self.place
    }

    /// What has come, without waiting.
    ///
    /// # Errors
    /// What the brokers fail with.
    pub fn poll(&self) -> Result<Option<Polled<'_>>> {
        match self.queue.poll(Duration::ZERO) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(Polled::Message(Message(message)))),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(Some(Polled::End)),
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => Ok(Some(Polled::Removed)),
            Some(Err(error)) => Err(self.named(mapped("kafka.read", error))),
        }
    }

    fn named(&self, error: Error) -> Error {
        error
            .with("topic", &self.place.topic)
            .with("partition", self.place.partition)
    }
}
