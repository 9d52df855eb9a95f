//! Topics: what they are to be, what they are, and making them.
//!
//! # What there is by default
//! | topic | what is in it | cleanup |
//! |---|---|---|
//! | `ohlcv-raw` | candles as providers send them | delete |
//! | `ohlcv-validated` | candles that have passed validation | delete |
//! | `trades`, `quotes`, `tickers`, `books`, `prices`, `series`, `gaps` | the other kinds of events | delete |
//! | `alerts` | what rules have found | delete |
//! | `analytics-requests` | what analyses are asked for | delete |
//! | `market-metadata` | instruments: the newest word on each, by venue and its own name | compact |
//! | `TOPIC-dead-letter` of each of them | what its readers refused, with the reason | delete, but never by age or size |
//! | `qicore-dead-letter` | what was refused and comes from no topic | the same |
//! | `qicore-checkpoints` | positions and state of lanes, written with their rows | compact |
//!
//! Events are not compacted: they are keyed by symbol, so that all of a symbol but its newest event would go.
//!
//! # Retention
//! How long events are kept is the brokers' default (7 days), unless it is asked for. Kafka counts it from the messages'
//! timestamps, which are event times here; what is so old that it would soon be removed has the time of writing instead.
//! `message.timestamp.after.max.ms`, on the other side, is how far ahead of the broker's clock a message may be.
//!
//! # What is changed
//! [`plan()`] compares and changes nothing. [`apply()`] makes what is missing. What is there and differs is told, and changed
//! where that is [allowed](Allowed): more partitions move keys to other ones, so that a symbol's events are no longer in
//! order, and other settings may remove data.

mod apply;
mod client;
mod config;
mod contents;
mod found;
mod plan;

use std::collections::BTreeMap;

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};

pub use apply::{Allowed, Applied, apply, create};
pub use config::{Retention, TopicConfig, TopicsConfig, Value};
pub use contents::{Contents, DEFAULT_TOPICS, LARGEST_LETTER, dead_letter_topic, default_topics};
pub use found::Found;
pub use plan::{Change, Planned, plan};

use super::topics::check_name;
use super::{Connection, checkpoints};
use client::Asking;

/// The partitions of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitions {
    /// So many. Another number is told as a difference.
    Exactly(i32),
    /// So many where the topic is made: a topic that is there may have any number.
    AtFirst(i32),
}

impl Partitions {
    /// How many a topic is made with.
    pub const fn at_first(self) -> i32 {
        let (Self::Exactly(number) | Self::AtFirst(number)) = self;
        number
    }
}

/// What a topic is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicSpec {
    /// The name.
    pub name: String,
    /// Partitions.
    pub partitions: Partitions,
    /// Copies of each partition; the cluster's own default, and any number where the topic is there, if there is none.
    pub replication: Option<i32>,
    /// Its settings, by Kafka's names. Those that are not named are the brokers' business.
    pub settings: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic of so many partitions.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions: Partitions::Exactly(partitions),
            replication: None,
            settings: BTreeMap::new(),
        }
    }

    /// Sets how many partitions there are.
    #[must_use]
    pub fn partitions(mut self, partitions: Partitions) -> Self {
        self.partitions = partitions;
        self
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

    /// The topic of checkpoints: compacted, in small segments, so that little of what is outdated is read again.
    pub fn checkpoints(name: impl Into<String>) -> Self {
        Self::new(name, checkpoints::PARTITIONS)
            .setting("cleanup.policy", "compact")
            .setting("min.cleanable.dirty.ratio", "0.1")
            .setting("segment.bytes", "67108864")
    }

    /// Finds what no topic can be.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        let mistake = |message| Err(Error::config("kafka.topics", message).with("topic", &self.name));
        if self.partitions.at_first() < 1 {
            return mistake("a topic has 1 partition at least");
        }
        // The protocol's number has 16 bits.
        if self
            .replication
            .is_some_and(|copies| !(1..=i32::from(i16::MAX)).contains(&copies))
        {
            return mistake("replication is the number of copies of each partition: 1 at least");
        }
        Ok(())
    }
}

/// Finds what no topics can be, before anything is asked.
fn check_all(specs: &[TopicSpec]) -> Result<()> {
    let mut names = BTreeMap::new();
    for spec in specs {
        spec.check()?;
        if names.insert(&spec.name, spec).is_some_and(|before| before != spec) {
            let message = "the topic is to be two different things";
            return Err(Error::config("kafka.topics", message).with("topic", &spec.name));
        }
    }
    Ok(())
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
        let asking = Asking::new(&connection)?;
        let number = |topic: &String| Ok(asking.topic(topic)?.map_or(0, |layout| layout.partitions as usize));
        topics.iter().map(number).collect()
    });
    joined(task.await)
}

/// The result of work that blocks.
pub(super) fn joined<T>(done: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    done.unwrap_or_else(|error| {
        let message = format!("the work was not done: {error}");
        Err(Error::new(ErrorKind::Internal, "kafka", message).with_retry(RetryAdvice::Never))
    })
}
