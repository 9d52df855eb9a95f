//! The clients of one piece of work. All of it blocks, on a thread that may.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, OwnedResourceSpecifier,
    ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use tokio::runtime::Handle;

use super::found::{Layout, Setting};
use super::{TopicSpec, joined};
use crate::kafka::Connection;
use crate::kafka::client::Plain;
use crate::kafka::error::{mapped, of_code};

/// Asks what topics there are: as a consumer, since brokers that make topics by themselves make one that a producer asks for.
pub(super) struct Asking {
    connection: Connection,
    client: BaseConsumer<Plain>,
}

impl Asking {
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let client = connection.client().create_with_context(Plain::default());
        Ok(Self {
            connection: connection.clone(),
            client: client.map_err(|error| mapped("kafka.topics", error))?,
        })
    }

    /// How a topic is laid out; `None` where there is none.
    pub(super) fn topic(&self, topic: &str) -> Result<Option<Layout>> {
        let metadata = self.client.fetch_metadata(Some(topic), self.connection.timeout);
        let until = Instant::now() + Duration::from_secs(1);
        let metadata = metadata.map_err(|error| {
            // What went wrong with the connection is told by events, which are not there for a poll that does not wait.
            let pause = Duration::from_millis(50);
            while Instant::now() < until && self.client.poll(pause).is_some() {}
            let error = self.client.context().told.explain(mapped("kafka.topics", error));
            error.with("brokers", self.connection.addresses())
        })?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(layout(found))),
            Some(code) if of_code(code).0 == ErrorKind::Schema => Ok(None),
            Some(code) => Err(of_topic("kafka.topics", topic, code)),
        }
    }

    /// Whether the leaders of all partitions of a topic answer for them. A broker tells of a new partition a moment before it
    /// has taken it up.
    pub(super) fn leads(&self, topic: &str, layout: &Layout) -> bool {
        let timeout = self.connection.timeout;
        let leads = |partition| match self.client.fetch_watermarks(topic, partition, timeout) {
            Ok(_) => true,
            // Who may not ask is not to wait for an answer.
            Err(error) => mapped("kafka.topics", error).kind() == ErrorKind::Unauthorized,
        };
        layout.ready && (0..layout.partitions).all(leads)
    }
}

fn layout(topic: &MetadataTopic) -> Layout {
    let copies = || topic.partitions().iter().map(|partition| partition.replicas().len());
    Layout {
        partitions: topic.partitions().len() as i32,
        replication: (copies().min().unwrap_or(0) as i32, copies().max().unwrap_or(0) as i32),
        ready: topic.partitions().iter().all(|partition| partition.error().is_none()),
    }
}

/// What a broker has against something that was asked of a topic.
fn of_topic(operation: &'static str, topic: &str, code: RDKafkaErrorCode) -> Error {
    let (kind, retry) = of_code(code);
    let error = Error::new(kind, operation, code.to_string())
        .with_retry(retry)
        .with("topic", topic);
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => error.with(
            "advice",
            "the user needs Describe and DescribeConfigs on the topic, to make it also Create, to change it Alter and \
             AlterConfigs",
        ),
        RDKafkaErrorCode::InvalidReplicationFactor => {
            error.with("advice", "there cannot be more copies of a partition than brokers")
        }
        _ => error,
    }
}

/// Asks and acts.
pub(super) struct Admin {
    asking: Asking,
    client: AdminClient<Plain>,
    runtime: Handle,
}

impl Admin {
    /// Does work with clients of its own, where blocking is no harm.
    pub(super) async fn work<T: Send + 'static>(
        connection: &Connection,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (connection, runtime) = (connection.clone(), Handle::current());
        let task = tokio::task::spawn_blocking(move || {
            let client = connection.client().create_with_context(Plain::default());
            work(&Self {
                asking: Asking::new(&connection)?,
                client: client.map_err(|error| mapped("kafka.topics", error))?,
                runtime,
            })
        });
        joined(task.await)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.asking.connection.timeout
    }

    pub(super) fn topic(&self, topic: &str) -> Result<Option<Layout>> {
        self.asking.topic(topic)
    }

    pub(super) fn leads(&self, topic: &str, layout: &Layout) -> bool {
        self.asking.leads(topic, layout)
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.timeout()))
            .operation_timeout(Some(self.timeout()))
    }

    /// The settings of topics, by topic and name.
    pub(super) fn settings(&self, topics: &[&str]) -> Result<BTreeMap<String, BTreeMap<String, Setting>>> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let wanted: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let described = self.client.describe_configs(&wanted, &self.options());
        let described = self.runtime.block_on(described);
        let described = described.map_err(|error| mapped("kafka.topics", error))?;
        let mut all = BTreeMap::new();
        for resource in described {
            let resource = resource.map_err(|code| mapped("kafka.topics", KafkaError::AdminOp(code)))?;
            let OwnedResourceSpecifier::Topic(topic) = resource.specifier else {
                continue;
            };
            // The driver keeps what a broker has against it to itself: a missing right looks like a topic that has no
            // settings, which there is none of.
            if resource.entries.is_empty() {
                return Err(
                    of_topic("kafka.topics", &topic, RDKafkaErrorCode::TopicAuthorizationFailed)
                        .with("asked", "its settings"),
                );
            }
            let setting = |entry: rdkafka::admin::ConfigEntry| {
                let setting = Setting {
                    value: entry.value,
                    own: entry.source == ConfigSource::DynamicTopic,
                    fixed: entry.is_read_only,
                };
                (entry.name, setting)
            };
            all.insert(topic, resource.entries.into_iter().map(setting).collect());
        }
        Ok(all)
    }

    /// Makes topics, and gives what there was against each; one that is there already is left as it is.
    pub(super) fn create(&self, specs: &[&TopicSpec]) -> BTreeMap<String, Error> {
        let new: Vec<_> = specs.iter().map(|spec| new_topic(spec)).collect();
        let done = self.client.create_topics(&new, &self.options());
        let mut failures = failures("kafka.create_topic", specs, self.runtime.block_on(done));
        for spec in specs {
            // It is not told which of them.
            if let Some(error) = failures.remove(&spec.name) {
                let settings: Vec<_> = spec
                    .settings
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                failures.insert(spec.name.clone(), error.with("settings", settings.join(" ")));
            }
        }
        failures
    }

    /// Adds partitions, and gives what there was against it for each topic.
    pub(super) fn add_partitions(&self, specs: &[&TopicSpec]) -> BTreeMap<String, Error> {
        let new: Vec<_> = specs
            .iter()
            .map(|spec| NewPartitions::new(&spec.name, spec.partitions.at_first() as usize))
            .collect();
        let done = self.client.create_partitions(&new, &self.options());
        failures("kafka.add_partitions", specs, self.runtime.block_on(done))
    }

    /// Replaces all the settings that a topic has of its own. What a broker has against it the driver keeps to itself: it
    /// shows in the settings being what they were.
    pub(super) fn replace_settings(&self, topic: &str, settings: &BTreeMap<String, String>) -> Result<()> {
        let altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let altered = settings
            .iter()
            .fold(altered, |altered, (name, value)| altered.set(name, value));
        let altered = [altered];
        let done = self.client.alter_configs(&altered, &self.options());
        let done = self.runtime.block_on(done);
        done.map(drop)
            .map_err(|error| mapped("kafka.change_settings", error).with("topic", topic))
    }
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let copies = TopicReplication::Fixed(spec.replication.unwrap_or(-1));
    let topic = NewTopic::new(&spec.name, spec.partitions.at_first(), copies);
    let settings = spec.settings.iter();
    settings.fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// What went wrong with each topic, of a request that may have gone wrong as a whole.
fn failures(
    operation: &'static str,
    specs: &[&TopicSpec],
    done: Result<Vec<TopicResult>, KafkaError>,
) -> BTreeMap<String, Error> {
    match done {
        Ok(results) => {
            let failed = results.into_iter().filter_map(Result::err);
            failed
                .filter(|(_, code)| *code != RDKafkaErrorCode::TopicAlreadyExists)
                .map(|(topic, code)| (topic.clone(), of_topic(operation, &topic, code)))
                .collect()
        }
        Err(error) => {
            let failed = |spec: &&TopicSpec| {
                let error = mapped(operation, error.clone()).with("topic", &spec.name);
                (spec.name.clone(), error)
            };
            specs.iter().map(failed).collect()
        }
    }
}
