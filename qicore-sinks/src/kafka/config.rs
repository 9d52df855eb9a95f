use std::time::Duration;

use qicore_data::{BatchPolicy, Error, EventType, Result, settings::duration};
use qicore_stores::kafka::{Compression, Connection, Topics, check_name, checkpoints};
use qicore_stores::messages::Encoding;
use serde::Deserialize;

/// A transaction costs a few round trips, whatever is in it: it gathers for as long as readers do not mind.
pub(super) const TRANSACTION: BatchPolicy = BatchPolicy::new(50_000, 16 << 20, Duration::from_millis(100));
pub(super) const PLAIN: BatchPolicy = BatchPolicy::new(50_000, 16 << 20, Duration::from_millis(10));

/// What is written, and where.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// The topics of kinds of events that do not go to the default ones: `topics = { candle = "ohlcv-validated" }`.
    pub topics: Topics,
    /// Only these kinds of events; all of them if none is named.
    pub only: Vec<EventType>,
    /// How events are written.
    pub encoding: Encoding,
    /// Whether rows are written in transactions with the lane's checkpoint, and so exactly once. Without, they are written
    /// as they come, and those since the last checkpoint come again after a kill.
    pub transactions: bool,
    /// The topic of the checkpoints; it is made where it is missing.
    pub checkpoints: String,
    /// How batches are compressed.
    pub compression: Compression,
    /// How long the producer waits for more messages of a partition.
    #[serde(with = "duration")]
    pub linger: Duration,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            connection: Connection::default(),
            topics: Topics::default(),
            only: Vec::new(),
            encoding: Encoding::default(),
            transactions: true,
            checkpoints: checkpoints::DEFAULT_TOPIC.into(),
            compression: Compression::default(),
            linger: Duration::from_millis(5),
        }
    }
}

impl KafkaConfig {
    pub(super) fn check(&self) -> Result<()> {
        self.connection.check()?;
        self.topics.check()?;
        check_name(&self.checkpoints).map_err(|error| error.with("setting", "checkpoints"))?;
        if self.linger > Duration::from_secs(10) {
            return Err(Error::config(
                "kafka.config",
                "linger is more than 10 s: `batch.linger` is what gathers rows",
            ));
        }
        Ok(())
    }

    /// Each kind of event that is written, and the topic that it goes to. All of them must be there when the sink opens.
    pub fn destinations(&self) -> impl Iterator<Item = (EventType, &str)> {
        let wanted = EventType::ALL.iter().copied().filter(|kind| self.wants(*kind));
        wanted.map(|kind| (kind, self.topics.of(kind)))
    }

    pub(super) fn wants(&self, event_type: EventType) -> bool {
        self.only.is_empty() || self.only.contains(&event_type)
    }
}
