//! Kafka, Redpanda and other brokers of that protocol: each event a message, each delivery a transaction with its
//! checkpoint.
//!
//! # Exactly once
//! A transaction holds the rows of a delivery and the lane's checkpoint, which goes to a compacted topic. It is done as a
//! whole or not at all, whoever is killed when; readers that read committed messages alone see each row once. Where the
//! answer to a commit is lost, the next try reads the newest checkpoint and is done. The producer's transactional id is the
//! pipeline's, the sink's and the lane's name: who takes a lane up ends what its last owner has left open, and that one, if
//! it lives, writes nothing more and fails.
//!
//! Without transactions (`transactions = false`) rows are seen a little sooner and cost less; after a kill those since the
//! last checkpoint of the pipeline come again.
//!
//! # Refused rows
//! A broker refuses a whole batch for one message that is too large, or whose time is too far ahead. Such rows are found
//! before they are sent, by the topics' settings; what a broker refuses all the same is looked for by ever smaller batches.
//!
//! # Memory
//! While the brokers are slow or down each lane holds what its queue holds (`queue_bytes`, 16 MiB by default), one delivery,
//! and up to 64 MiB of messages on their way; the source is held back.

mod config;
mod lane;
mod letters;
mod rows;
mod session;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    Checkpoint, Delivery, Error, ErrorKind, Lane, Mistakes, Receipt, Result, RetryPolicy, Settings, Sink,
    SinkCapabilities, WriterId,
};
use qicore_stores::kafka::admin::{self, TopicSpec};
use qicore_stores::kafka::{CheckpointLog, Connection, Limits, ProducerConfig, limits};

pub use config::KafkaConfig;
pub(crate) use letters::build as build_letters;
pub use letters::{KafkaLetters, KafkaLettersConfig};

use lane::Writer;
use rows::Routes;
use session::Shared;

use crate::lanes::Lanes;

/// Writes to Kafka topics. See the module for its guarantees, and [`qicore_stores::kafka`] for the messages.
///
/// ```
/// use qicore_sinks::Kafka;
/// use qicore_stores::kafka::Connection;
/// let sink = Kafka::new(Connection::brokers("kafka.example.com:9092"));
/// ```
pub struct Kafka {
    config: KafkaConfig,
    lanes: Lanes<Writer>,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Kafka {
    /// Writes to these brokers, with the default settings.
    pub fn new(connection: Connection) -> Self {
        Self::from_config(KafkaConfig {
            connection,
            ..KafkaConfig::default()
        })
    }

    /// From its configuration.
    pub fn from_config(config: KafkaConfig) -> Self {
        Self {
            config,
            lanes: Lanes::default(),
        }
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    let config: KafkaConfig = settings.read()?;
    config.check().map_err(|error| settings.mistake(error.message()))?;
    Ok(Arc::new(Kafka::from_config(config)))
}

/// The limits of the topics, all of which must be there.
async fn topics(config: &KafkaConfig) -> Result<BTreeMap<String, Limits>> {
    let topics = Routes::topics(config);
    let partitions = admin::partitions(&config.connection, &topics).await?;
    let missing: Vec<_> = topics
        .iter()
        .zip(partitions)
        .filter(|(_, found)| *found == 0)
        .map(|(topic, _)| *topic)
        .collect();
    if !missing.is_empty() {
        let message = format!("no such topic: {}", missing.join(", "));
        let advice = "`qicore topics apply FILE.toml` makes them; `only` leaves kinds of events out";
        return Err(Error::new(ErrorKind::Schema, "kafka.open", message).with("advice", advice));
    }
    let limits = limits(&config.connection, &topics).await?;
    Ok(topics.into_iter().map(str::to_owned).zip(limits).collect())
}

/// The topic of checkpoints, made where it is missing.
async fn checkpoint_log(config: &KafkaConfig, writer: &WriterId) -> Result<CheckpointLog> {
    use qicore_stores::kafka::checkpoints::PARTITIONS;
    let (connection, topic) = (&config.connection, &*config.checkpoints);
    let mut found = admin::partitions(connection, &[topic]).await?;
    if found == [0] {
        admin::create(connection, &[TopicSpec::checkpoints(topic)]).await?;
        found = vec![PARTITIONS as usize];
    }
    if found.iter().any(|partitions| *partitions < PARTITIONS as usize) {
        let message = format!("the topic of checkpoints has less than {PARTITIONS} partitions");
        return Err(Error::new(ErrorKind::Schema, "kafka.open", message).with("topic", topic));
    }
    Ok(CheckpointLog::new(connection, topic, writer))
}

#[async_trait]
impl Sink for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    fn capabilities(&self) -> SinkCapabilities {
        let capabilities = SinkCapabilities::default()
            // Brokers that are down are waited for: sources are held back, and nothing is lost.
            .retry(
                RetryPolicy::default()
                    .retries(usize::MAX)
                    .pauses(Duration::from_millis(50), Duration::from_secs(5)),
            );
        match self.config.transactions {
            true => capabilities
                .checkpoint_each()
                .batch(config::TRANSACTION)
                .flush_after(Duration::ZERO),
            false => capabilities.batch(config::PLAIN),
        }
    }

    async fn open(&self, writer: &WriterId) -> Result<()> {
        let limits = topics(&self.config).await?;
        let log = match self.config.transactions {
            true => Some(checkpoint_log(&self.config, writer).await?),
            false => None,
        };
        let bytes = || limits.values().map(|limits| limits.bytes.clamp(1_000, 1_000_000_000));
        let mut producer = ProducerConfig::default();
        producer.compression = self.config.compression;
        producer.linger = self.config.linger;
        // Checkpoints come in pieces of half a megabyte.
        producer.message_bytes = bytes().max().unwrap_or_default().max(1_000_000);
        // A batch must not be larger than the narrowest topic takes.
        producer.batch_bytes = bytes().min().unwrap_or(producer.batch_bytes).min(producer.batch_bytes);
        self.lanes.open(Shared {
            connection: self.config.connection.clone(),
            routes: Routes::new(self.config.clone(), &limits),
            producer,
            log,
            // Pipelines of one name whose checkpoints are apart have nothing to do with each other.
            prefix: format!("{}/{}/{}", self.config.checkpoints, writer.pipeline, writer.sink),
        });
        Ok(())
    }

    async fn checkpoint(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        self.lanes.take_up(lane).await
    }

    async fn write(&self, delivery: &Delivery) -> Result<Receipt> {
        self.lanes.write(delivery).await
    }

    async fn flush(&self, lane: &Lane) -> Result<()> {
        self.lanes.flush(lane).await
    }

    /// # Errors
    /// [`Abandoned`](ErrorKind::Abandoned) where rows wait for a checkpoint that has not come.
    async fn close(&self) -> Result<()> {
        self.lanes.close().await
    }
}
