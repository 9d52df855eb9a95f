//! Kafka, Redpanda and other brokers of that protocol: a partition is a lane.
//!
//! # Groups
//! Workers with one `group` share the partitions, and take over from each other. A partition that the group takes away is
//! worked on to its end first, as long as `release_within` lets it, so that its next owner goes on where this one ends; state
//! and position go along, where the sinks keep them. What a worker writes after it has lost a partition without knowing (it
//! hung, it was cut off) its sinks refuse, and it goes on with the partitions that it has.
//!
//! # Positions
//! A lane goes on where its sinks say. Where none of them keeps positions, and no checkpoint store is set, it goes on where
//! the group has committed to, which is done when the sinks have accepted what was read. Offsets are committed in any case,
//! for those who watch the lag.
//!
//! # What is gone
//! Messages that were removed before they were read (by the topic's retention) are told by a `gap` event of the exchange
//! `kafka` and the symbol `TOPIC/PARTITION`, with their number: that of the offsets, of which a transaction's end has one too.

mod config;
mod decoder;
mod lanes;
mod reader;

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{
    Batch, BatchLimit, Checkpoint, Decoder, Error, ErrorKind, Lane, Mistakes, Progress, Result, Resume, RetryAdvice,
    Settings, Source, SourceCapabilities,
};
use qicore_stores::kafka::{Connection, Consumer, Notice};

pub use config::{KafkaTopicsConfig, Until};

use lanes::Lanes;

/// Reads Kafka topics. See the module for groups and positions, and [`qicore_stores::kafka`] for the messages.
///
/// ```
/// use qicore_sources::KafkaTopics;
/// use qicore_stores::kafka::Connection;
/// let source = KafkaTopics::group(Connection::brokers("kafka.example.com:9092"), "writers", ["ohlcv-validated"]);
/// ```
#[derive(Debug)]
pub struct KafkaTopics {
    config: KafkaTopicsConfig,
    consumer: Option<Arc<Consumer>>,
    lanes: Lanes,
    ready: VecDeque<Batch>,
    over: bool,
}

impl KafkaTopics {
    /// A member of a group.
    pub fn group(
        connection: Connection,
        group: impl Into<String>,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::from_config(KafkaTopicsConfig {
            connection,
            group: Some(group.into()),
            topics: topics.into_iter().map(Into::into).collect(),
            ..KafkaTopicsConfig::default()
        })
    }

    /// From its configuration.
    pub fn from_config(config: KafkaTopicsConfig) -> Self {
        Self {
            config,
            consumer: None,
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            over: false,
        }
    }

    pub(crate) fn build(settings: &Settings) -> Result<Box<dyn Source>, Mistakes> {
        let config: KafkaTopicsConfig = settings.read()?;
        config.check().map_err(|error| settings.mistake(error.message()))?;
        Ok(Box::new(Self::from_config(config)))
    }

    fn consumer(&self) -> Result<Arc<Consumer>> {
        let missing = || Error::new(ErrorKind::Internal, "kafka.read", "the source is not open");
        self.consumer.clone().ok_or_else(missing)
    }

    fn notices(&mut self, consumer: &Arc<Consumer>) -> Result<()> {
        for notice in consumer.notices() {
            match notice {
                Notice::Assigned(partitions) => self.lanes.assigned(partitions),
                Notice::Revoked(places, release) => self.lanes.revoked(&places, release, &mut self.ready),
                Notice::Astray(place) => self.lanes.again(&place),
                // The driver tries again by itself.
                Notice::Failed(error) if error.retry() != RetryAdvice::Never => {
                    tracing::warn!(%error, "kafka: going on");
                }
                Notice::Failed(error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Decodes messages, by what their headers told of their form: the channel of their frames.
pub(crate) fn messages(lane: &Lane) -> Box<dyn Decoder> {
    Box::new(decoder::Messages::new(lane))
}

#[async_trait]
impl Source for KafkaTopics {
    fn name(&self) -> &str {
        "kafka"
    }

    fn capabilities(&self) -> SourceCapabilities {
        let capabilities = SourceCapabilities::default().replayable().tells_lag();
        let capabilities = match self.config.group {
            Some(_) => capabilities.shared(),
            None => capabilities,
        };
        match self.config.until {
            Until::End => capabilities.finite(),
            Until::Never => capabilities,
        }
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> Result<()> {
        let consumer = Consumer::open(&self.config.connection, &self.config.consumer()).await?;
        let consumer = Arc::new(consumer);
        self.lanes
            .open(Arc::clone(&consumer), resume, self.config.start.clone());
        self.consumer = Some(consumer);
        Ok(())
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        let consumer = self.consumer()?;
        loop {
            self.notices(&consumer)?;
            self.lanes.started(&mut self.ready)?;
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.over {
                return Ok(None);
            }
            if let Some(batch) = self.lanes.read(limit)? {
                return Ok(Some(batch));
            }
            if self.config.until == Until::End && self.lanes.have_caught_up() {
                self.over = true;
                self.lanes.end(&mut self.ready);
                continue;
            }
            tokio::select! {
                () = consumer.changed() => {}
                () = self.lanes.wait_for_start() => {}
            }
        }
    }

    fn decoder(&self, lane: &Lane) -> Result<Box<dyn Decoder>> {
        Ok(messages(lane))
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.lanes.commit(checkpoint).await
    }

    fn lost(&mut self, lane: &Lane) {
        self.ready.retain(|batch| batch.lane != *lane);
        self.lanes.lost(lane);
    }

    fn progress(&self) -> Option<Progress> {
        Some(self.lanes.progress())
    }

    fn lag(&self) -> Vec<(Lane, u64)> {
        self.lanes.lag()
    }

    async fn close(&mut self) -> Result<()> {
        self.lanes = Lanes::default();
        match self.consumer.take().map(Arc::into_inner) {
            None => Ok(()),
            Some(Some(consumer)) => consumer.close().await,
            Some(None) => {
                let message = "a partition was being looked up: the group notices by the session's timeout";
                tracing::debug!("kafka: {message}");
                Ok(())
            }
        }
    }
}
