//! A member of a consumer group, or a reader of whole topics: partitions come and go, and each is read by itself.
//!
//! A partition's messages wait in a queue of their own, which librdkafka fills up to a bound. Who is not ready to take more
//! just does not ask: nothing is fetched twice, and the membership does not hang on it, for a thread of this consumer's own
//! serves what the group wants.

mod group;
mod partition;
mod place;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use qicore_data::{Error, ErrorKind, Result};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Told;
use super::error::mapped;
use super::{Connection, admin};
use group::{Context, Inbox};

pub use group::{Notice, Release};
pub use partition::{Message, Partition, Polled};
pub use place::{Begun, Start, Stored};

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// How a consumer reads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// The group that shares the partitions; `None` reads all of them.
    pub group: Option<String>,
    /// The topics.
    pub topics: Vec<String>,
    /// How long a partition that the group takes away may be worked on to its end.
    pub release_within: Duration,
    /// Bytes of messages that may wait for each partition.
    pub queued_bytes: usize,
}

impl ConsumerConfig {
    /// A member of a group, or a reader of everything.
    pub fn new(group: Option<String>, topics: Vec<String>) -> Self {
        Self {
            group,
            topics,
            release_within: Duration::from_secs(20),
            queued_bytes: 16 << 20,
        }
    }
}

/// Reads topics.
pub struct Consumer {
    inner: Arc<BaseConsumer<Context>>,
    inbox: Arc<Inbox>,
    poller: Option<JoinHandle<()>>,
    timeout: Duration,
    grouped: bool,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("grouped", &self.grouped)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// Finds the topics, and joins the group or takes all partitions; they come as [notices](Self::notices).
    ///
    /// # Errors
    /// [`Schema`](ErrorKind::Schema) for a topic that is not there, and what the brokers fail with.
    pub async fn open(connection: &Connection, config: &ConsumerConfig) -> Result<Self> {
        let topics: Vec<_> = config.topics.iter().map(String::as_str).collect();
        let partitions = admin::partitions(connection, &topics).await?;
        let missing: Vec<_> = topics
            .iter()
            .zip(&partitions)
            .filter(|(_, found)| **found == 0)
            .collect();
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|(topic, _)| **topic).collect();
            let message = format!("no such topic: {}", names.join(", "));
            let advice = "`qicore topics apply FILE.toml` makes the topics of a pipeline";
            return Err(Error::new(ErrorKind::Schema, "kafka.open", message).with("advice", advice));
        }
        let consumer = Self::start(connection, config)?;
        let joined = match consumer.grouped {
            true => consumer.inner.subscribe(&topics),
            false => consumer.take_all(&topics, &partitions),
        };
        joined.map_err(|error| mapped("kafka.open", error))?;
        Ok(consumer)
    }

    fn start(connection: &Connection, config: &ConsumerConfig) -> Result<Self> {
        let kilobytes = (config.queued_bytes >> 10).max(64);
        let mut client = connection.client();
        client
            .set("group.id", config.group.as_deref().unwrap_or("qicore-standalone"))
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // Where messages are gone that were not read is for this program to tell, not for the driver to pass over.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", kilobytes.to_string())
            .set("fetch.wait.max.ms", "50")
            // A partition whose queue was full is fetched again as soon as there is room, not a second later.
            .set("fetch.queue.backoff.ms", "20")
            .set("statistics.interval.ms", "1000");
        let inbox = Arc::new(Inbox::default());
        let context = Context::new(Arc::clone(&inbox), config.release_within);
        let inner: BaseConsumer<Context> = client
            .create_with_context(context)
            .map_err(|error| mapped("kafka.open", error))?;
        let inner = Arc::new(inner);
        inner.context().knows(&inner);
        let poller = group::poll(Arc::clone(&inner), Arc::clone(&inbox), config.group.is_some())?;
        Ok(Self {
            inner,
            inbox,
            poller: Some(poller),
            timeout: connection.timeout,
            grouped: config.group.is_some(),
        })
    }

    fn take_all(&self, topics: &[&str], partitions: &[usize]) -> Result<(), rdkafka::error::KafkaError> {
        let mut all = TopicPartitionList::new();
        for (topic, count) in topics.iter().zip(partitions) {
            for partition in 0..*count {
                all.add_partition_offset(topic, partition as i32, Offset::Offset(0))?;
            }
        }
        let taken = self.inner.context().take(&self.inner, &all);
        self.inner.incremental_assign(&all)?;
        self.inner.pause(&all)?;
        self.inbox.put(Notice::Assigned(taken));
        Ok(())
    }

    /// What has happened since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        self.inbox.take()
    }

    /// Waits until there may be notices or messages. Cancel-safe.
    pub async fn changed(&self) {
        self.inbox.changed().await;
    }

    /// The end of what can be read of each partition, as it was up to a second ago.
    pub fn ends(&self) -> Arc<BTreeMap<TopicPartition, u64>> {
        self.inbox.ends()
    }

    /// Notes in the group that everything of a partition before `next` is done with. Waits for the brokers to have it only
    /// if told to.
    ///
    /// # Errors
    /// What the brokers fail with.
    pub async fn commit(&self, place: &TopicPartition, next: u64, wait: bool) -> Result<()> {
        if !self.grouped {
            return Ok(());
        }
        let failed = |error| mapped("kafka.commit", error);
        let mut offsets = TopicPartitionList::new();
        let next = Offset::Offset(next as i64);
        offsets
            .add_partition_offset(&place.topic, place.partition, next)
            .map_err(failed)?;
        if !wait {
            return self.inner.commit(&offsets, CommitMode::Async).map_err(failed);
        }
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || inner.commit(&offsets, CommitMode::Sync).map_err(failed));
        admin::joined(task.await)
    }

    /// Finds where to begin in a partition, and begins to fetch there.
    ///
    /// # Errors
    /// What the brokers fail with, and [`Checkpoint`](ErrorKind::Checkpoint) where a position lies behind the end.
    pub fn begin(
        &self,
        place: TopicPartition,
        stored: Option<Stored>,
        start: Arc<Start>,
    ) -> impl Future<Output = Result<Begun>> + Send + 'static {
        let (inner, timeout, grouped) = (Arc::clone(&self.inner), self.timeout, self.grouped);
        async move {
            let task = tokio::task::spawn_blocking(move || {
                let begun = place::begin(&inner, timeout, grouped, &place, stored, &start);
                let told: &Told = &inner.context().told;
                begun.map_err(|error| {
                    told.explain(error)
                        .with("topic", &place.topic)
                        .with("partition", place.partition)
                })
            });
            admin::joined(task.await)
        }
    }

    /// Leaves the group. All [partitions](Partition) must be dropped before.
    ///
    /// # Errors
    /// Where the thread that serves the group has panicked.
    pub async fn close(mut self) -> Result<()> {
        self.inbox.closing.store(true, Relaxed);
        let poller = self.poller.take();
        let task = tokio::task::spawn_blocking(move || {
            let ended = poller.map(JoinHandle::join);
            // The last owner leaves the group, which takes an answer of the brokers.
            drop(self);
            match ended {
                Some(Err(_)) => Err(Error::new(
                    ErrorKind::Internal,
                    "kafka.close",
                    "the thread of the group panicked",
                )),
                _ => Ok(()),
            }
        });
        admin::joined(task.await)
    }
}

impl Drop for Consumer {
    /// A run that is given up leaves the group as well, on the thread that serves it.
    fn drop(&mut self) {
        self.inbox.closing.store(true, Relaxed);
    }
}
