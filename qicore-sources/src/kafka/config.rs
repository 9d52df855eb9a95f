use std::collections::BTreeMap;
use std::time::Duration;

use qicore_data::{Error, Result, Timestamp, settings::duration};
use qicore_stores::kafka::{Connection, ConsumerConfig, Start, check_name};
use serde::Deserialize;
use serde::de::Error as _;

/// How long a source reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Until {
    /// On and on.
    #[default]
    Never,
    /// To the end that every partition has when it is begun with, or somewhat farther.
    End,
}

/// What is read, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaTopicsConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// The topics.
    pub topics: Vec<String>,
    /// The consumer group: its members share the partitions, and take over from each other.
    pub group: Option<String>,
    /// Reads all partitions without a group, as a table is read. Those that are added meanwhile are read from the next start on.
    pub standalone: bool,
    /// Where to begin with a partition for which neither a sink nor a checkpoint store has a position: `"committed"` (by the
    /// group, else the earliest), `"earliest"`, `"latest"`, `{ time = "2026-01-01T00:00:00Z" }`, or
    /// `{ offsets = { "trades/0" = 1000 } }`. The latest and the time count for the group's first beginning alone; the earliest and
    /// the offsets whenever there is no other position.
    #[serde(deserialize_with = "start")]
    pub start: Start,
    /// When to end.
    pub until: Until,
    /// How long what was read of a partition may be worked on after the group has taken it away. Less than
    /// `max.poll.interval.ms` (5 minutes).
    #[serde(with = "duration")]
    pub release_within: Duration,
    /// Bytes of messages that may wait for each partition.
    pub queued_bytes: usize,
}

impl Default for KafkaTopicsConfig {
    fn default() -> Self {
        let consumer = ConsumerConfig::new(None, Vec::new());
        Self {
            connection: Connection::default(),
            topics: Vec::new(),
            group: None,
            standalone: false,
            start: Start::default(),
            until: Until::default(),
            release_within: consumer.release_within,
            queued_bytes: consumer.queued_bytes,
        }
    }
}

impl KafkaTopicsConfig {
    pub(super) fn check(&self) -> Result<()> {
        let mistake = |message: &str| Err(Error::config("kafka.config", message));
        self.connection.check()?;
        if self.topics.is_empty() {
            return mistake("topics = [\"…\"]: what is to be read");
        }
        for (at, topic) in self.topics.iter().enumerate() {
            check_name(topic)?;
            if self.topics[..at].contains(topic) {
                return mistake(&format!("topics: {topic} is there twice"));
            }
        }
        if let Start::Offsets(offsets) = &self.start {
            let is_read = |place: &str| {
                let (topic, partition) = place.rsplit_once('/').unwrap_or_default();
                self.topics.iter().any(|read| read == topic) && partition.parse::<u32>().is_ok()
            };
            if let Some(place) = offsets.keys().find(|place| !is_read(place)) {
                return mistake(&format!("start.offsets: {place:?} is no TOPIC/PARTITION of `topics`"));
            }
        }
        match (&self.group, self.standalone) {
            (None, false) => mistake(
                "group = \"NAME\": workers with the same one share the partitions; or standalone = true, to read all of them",
            ),
            (Some(_), true) => mistake("group and standalone exclude each other"),
            (Some(group), _) if group.trim().is_empty() => mistake("group is empty"),
            _ => Ok(()),
        }
    }

    pub(super) fn consumer(&self) -> ConsumerConfig {
        let mut consumer = ConsumerConfig::new(self.group.clone(), self.topics.clone());
        consumer.release_within = self.release_within;
        consumer.queued_bytes = self.queued_bytes;
        consumer
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Time(Time),
    Offsets(Offsets),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    time: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offsets {
    offsets: BTreeMap<String, u64>,
}

fn start<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Start, D::Error> {
    let known = "start is \"committed\", \"earliest\", \"latest\", { time = \"…\" } or { offsets = { \"TOPIC/PARTITION\" = N } }";
    match Written::deserialize(deserializer).map_err(|_| D::Error::custom(known))? {
        Written::Word(word) => match word.as_str() {
            "committed" => Ok(Start::Committed),
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            _ => Err(D::Error::custom(known)),
        },
        Written::Time(Time { time }) => {
            let time: Timestamp = time
                .parse()
                .map_err(|_| D::Error::custom("start.time is no RFC 3339 time"))?;
            Ok(Start::Time(time))
        }
        Written::Offsets(Offsets { offsets }) => Ok(Start::Offsets(offsets)),
    }
}
