//! Topics: what they are to be, and making them.

use std::collections::BTreeMap;

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::client::Plain;
use super::error::{mapped, of_code};
use super::{Connection, checkpoints};

/// What a topic is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSpec {
    /// The name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Copies of each partition; the cluster's own default if there is none.
    pub replication: Option<i32>,
    /// Its settings, by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic of so many partitions.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions,
            replication: None,
            settings: BTreeMap::new(),
        }
    }

    /// Sets how many copies there are of each partition.
    #[must_use]
    pub fn replication(mut self, copies: Option<i32>) -> Self {
        self.replication = copies;
        self
    }

    /// Adds a setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// A topic of dead letters: it keeps them for ever, and takes larger messages than others.
    pub fn dead_letters(name: impl Into<String>) -> Self {
        Self::new(name, 1)
            .setting("cleanup.policy", "delete")
            .setting("retention.ms", "-1")
            .setting("max.message.bytes", "8388608")
    }

    /// The topic of checkpoints: compacted, in small segments, so that little of what is outdated is read again.
    pub fn checkpoints(name: impl Into<String>) -> Self {
        Self::new(name, checkpoints::PARTITIONS)
            .setting("cleanup.policy", "compact")
            .setting("min.cleanable.dirty.ratio", "0.1")
            .setting("segment.bytes", "67108864")
    }
}

/// The partitions of topics; 0 for one that is not there.
///
/// # Errors
/// What the brokers fail with; [`Unavailable`](ErrorKind::Unavailable) and its like where none of them answers.
pub async fn partitions(connection: &Connection, topics: &[&str]) -> Result<Vec<usize>> {
    let (connection, topics) = (
        connection.clone(),
        topics.iter().map(|&topic| topic.to_owned()).collect::<Vec<_>>(),
    );
    let task = tokio::task::spawn_blocking(move || {
        let client: BaseConsumer<Plain> = connection
            .client()
            .create_with_context(Plain::default())
            .map_err(|error| mapped("kafka.topics", error))?;
        topics
            .iter()
            .map(|topic| partitions_of(&client, &connection, topic))
            .collect()
    });
    joined(task.await)
}

/// More than a client that was made for one question has to tell.
const EVENTS: usize = 32;

fn partitions_of(client: &BaseConsumer<Plain>, connection: &Connection, topic: &str) -> Result<usize> {
    let metadata = client.fetch_metadata(Some(topic), connection.timeout);
    let metadata = metadata.map_err(|error| {
        // What went wrong with the connection is told by events.
        for _ in 0..EVENTS {
            drop(client.poll(std::time::Duration::ZERO));
        }
        let error = client.context().told.explain(mapped("kafka.topics", error));
        error.with("brokers", connection.addresses())
    })?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(0);
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(found.partitions().len()),
        Some(code) if of_code(code).0 == ErrorKind::Schema => Ok(0),
        Some(code) => {
            let (kind, retry) = of_code(code);
            Err(Error::new(kind, "kafka.topics", code.to_string())
                .with_retry(retry)
                .with("topic", topic))
        }
    }
}

/// Makes topics; one that is there already is left as it is.
///
/// # Errors
/// What the brokers fail with.
pub async fn create(connection: &Connection, specs: &[TopicSpec]) -> Result<()> {
    let failed = |error| mapped("kafka.create_topic", error);
    let admin: AdminClient<Plain> = connection
        .client()
        .create_with_context(Plain::default())
        .map_err(failed)?;
    let new: Vec<_> = specs.iter().map(new_topic).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(connection.timeout))
        .operation_timeout(Some(connection.timeout));
    for result in admin.create_topics(&new, &options).await.map_err(failed)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                let (kind, retry) = of_code(code);
                let error = Error::new(kind, "kafka.create_topic", code.to_string()).with_retry(retry);
                return Err(error.with("topic", topic));
            }
        }
    }
    Ok(())
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let copies = TopicReplication::Fixed(spec.replication.unwrap_or(-1));
    let topic = NewTopic::new(&spec.name, spec.partitions, copies);
    let settings = spec.settings.iter();
    settings.fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// The result of work that blocks.
pub(super) fn joined<T>(done: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    done.unwrap_or_else(|error| {
        let message = format!("the work was not done: {error}");
        Err(Error::new(ErrorKind::Internal, "kafka", message).with_retry(RetryAdvice::Never))
    })
}
