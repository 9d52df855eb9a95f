//! The Kafka sink and source against bare loops around librdkafka with the same settings, on a real broker.

mod bare;
mod workers;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use qicore::prelude::*;
use qicore::stores::kafka::{Connection, Topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Runtime;

use crate::Result;

pub use bare::{Decode, Ready, by_serde, consume, directly, produce};
pub use workers::{work, workers};

/// Partitions of a topic.
pub const PARTITIONS: i32 = 4;

/// A broker to measure with.
pub struct Bench {
    brokers: String,
    runtime: Runtime,
    admin: AdminClient<DefaultClientContext>,
    topics: AtomicU32,
}

/// A topic, which is deleted when it is no longer needed, with the checkpoints of who writes it.
pub struct Topic<'a> {
    bench: &'a Bench,
    name: String,
    checkpoints: String,
}

impl Bench {
    /// With the brokers at these addresses.
    pub fn new(brokers: String) -> Result<Self> {
        let runtime = crate::pipelines::cores(1)?;
        // Events of the client come by a task.
        let _inside = runtime.enter();
        let admin = client(&brokers).create()?;
        drop(_inside);
        Ok(Self {
            brokers,
            runtime,
            admin,
            topics: AtomicU32::new(0),
        })
    }

    /// A new topic of so many partitions.
    pub fn topic(&self, partitions: i32) -> Result<Topic<'_>> {
        let number = self.topics.fetch_add(1, Relaxed);
        let name = format!("qicore-bench-{}-{number}", std::process::id());
        let topic = Topic {
            checkpoints: format!("{name}-checkpoints"),
            bench: self,
            name,
        };
        let new = [(&topic.name, partitions), (&topic.checkpoints, CHECKPOINTS)];
        let new = new.map(|(name, partitions)| NewTopic::new(name, partitions, TopicReplication::Fixed(1)));
        for made in self
            .runtime
            .block_on(self.admin.create_topics(&new, &AdminOptions::new()))?
        {
            made.map_err(|(name, error)| format!("{name}: {error}"))?;
        }
        self.until_seen(&topic.name, partitions)?;
        self.until_seen(&topic.checkpoints, CHECKPOINTS)?;
        Ok(topic)
    }

    /// Clients see a topic only once the broker has heard of it from its controller.
    fn until_seen(&self, topic: &str, partitions: i32) -> Result<()> {
        let consumer: BaseConsumer = client(&self.brokers).create()?;
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10))?;
            let of_topic = metadata.topics().first();
            if of_topic.is_some_and(|found| found.partitions().len() == partitions as usize) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{topic} is made, but not to be seen").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the sink asks of a topic of checkpoints.
const CHECKPOINTS: i32 = qicore::stores::kafka::checkpoints::PARTITIONS;

/// What every client of these brokers is made from.
fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

impl Topic<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The brokers' addresses.
    pub fn brokers(&self) -> &str {
        &self.bench.brokers
    }

    /// The sink at its defaults, in transactions or without.
    pub fn sink(&self, transactions: bool) -> Kafka {
        let mut config = KafkaConfig::default();
        config.connection = Connection::brokers(self.brokers());
        let kinds = EventType::ALL.iter();
        config.topics = kinds.fold(Topics::default(), |topics, kind| topics.with(*kind, &self.name));
        config.checkpoints.clone_from(&self.checkpoints);
        config.transactions = transactions;
        Kafka::from_config(config)
    }

    /// A source of all that is there, at its defaults.
    pub fn source(&self) -> KafkaTopics {
        let mut config = KafkaTopicsConfig::default();
        config.connection = Connection::brokers(self.brokers());
        config.topics = vec![self.name.clone()];
        config.standalone = true;
        config.until = Until::End;
        KafkaTopics::from_config(config)
    }

    /// The member of a group of its own, which goes on for ever.
    pub fn group(&self) -> KafkaTopics {
        KafkaTopics::group(Connection::brokers(self.brokers()), self.name.clone(), [&self.name])
    }

    /// Writes the messages of events.
    pub fn fill(&self, event_type: EventType, events: &[Event]) -> Result<()> {
        bare::produce(self, event_type, &Ready::of(events)?, 50_000, false).map(drop)
    }

    /// How many messages it has, the marks of transactions among them.
    pub fn messages(&self, partitions: i32) -> Result<u64> {
        let consumer: BaseConsumer = client(self.brokers()).create()?;
        let ends = (0..partitions).map(|partition| {
            let (low, high) = consumer.fetch_watermarks(&self.name, partition, Duration::from_secs(10))?;
            Ok((high - low) as u64)
        });
        ends.sum()
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        let names = [self.name.as_str(), self.checkpoints.as_str()];
        // What stays behind is the broker's to keep: it is one of its own, for benches.
        let _ = self
            .bench
            .runtime
            .block_on(self.bench.admin.delete_topics(&names, &AdminOptions::new()));
    }
}

/// What stands between a topic and a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Nothing.
    None,
    /// `validate` and `dedupe`.
    Checks,
}

/// Runs a pipeline from a topic's beginning to its end. The time from its start to its end.
///
/// # Errors
/// Those of the pipeline, and if the source has not read every event.
pub fn run(
    runtime: &Runtime,
    topic: &Topic<'_>,
    chain: Chain,
    sink: impl Sink + 'static,
    rows: u64,
) -> Result<Duration> {
    let mut builder = Pipeline::builder("bench").source(topic.source()).sink(sink);
    if chain == Chain::Checks {
        builder = builder
            .transform(Validate::default())
            .transform(Dedupe::new(DedupeConfig::default())?);
    }
    let pipeline = builder.build()?;
    let start = Instant::now();
    let summary = runtime.block_on(pipeline.run())?;
    let took = start.elapsed();
    let written: u64 = summary.stats.sinks.iter().map(|sink| sink.rows).sum();
    match written == rows {
        true => Ok(took),
        false => Err(format!("{written} of {rows} events came to the sink").into()),
    }
}
