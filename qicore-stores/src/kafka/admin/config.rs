//! What topics are to be, as a file tells it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use qicore_data::{Mistakes, Result, Settings, settings::duration};
use serde::Deserialize;

use super::{Contents, Partitions, TopicSpec};
use crate::kafka::Connection;

/// How long messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// So long.
    For(Duration),
    /// For ever.
    Forever,
}

impl Retention {
    /// The value of `retention.ms`.
    fn millis(self) -> String {
        match self {
            Self::For(duration) => duration.as_millis().to_string(),
            Self::Forever => "-1".to_owned(),
        }
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Longer ones do not fit into Kafka's number.
        let longest = Duration::from_secs(1000 * 365 * 86_400);
        match duration::parse(text).filter(|time| (Duration::from_millis(1)..longest).contains(time)) {
            _ if text == "forever" => Ok(Self::Forever),
            Some(time) => Ok(Self::For(time)),
            None => Err(format!(
                "{text:?} is not a time like \"12h\" or \"7d\", nor \"forever\""
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What topics are to be, where that is not the default.
///
/// ```toml
/// partitions = 12                 # of topics of events and instruments
/// replication = 3                 # of all topics
/// retention = "30d"               # of topics of events
///
/// [connection]                    # in place of the pipelines' own: an administrator's
/// brokers = "kafka.example.com:9092"
///
/// [topics.ohlcv-raw]
/// partitions = 24
/// retention = "7d"
/// settings = { "min.insync.replicas" = 2 }
///
/// [topics.reference]
/// compaction = true
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TopicsConfig {
    /// How to reach the brokers.
    pub connection: Option<Connection>,
    /// Partitions of topics of events and of instruments. Without, a topic that is missing gets 4, and one that is there may
    /// have any number.
    pub partitions: Option<i32>,
    /// Copies of each partition of all topics. Without, the cluster's default, and any number that is there.
    pub replication: Option<i32>,
    /// How long topics of events keep them, by the messages' timestamps. Without, as long as the brokers do by default.
    pub retention: Option<Retention>,
    /// What differs for single topics, by name.
    pub topics: BTreeMap<String, TopicConfig>,
}

/// What a single topic is to be, where that is not the default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TopicConfig {
    /// Partitions.
    pub partitions: Option<i32>,
    /// Copies of each partition.
    pub replication: Option<i32>,
    /// How long messages are kept.
    pub retention: Option<Retention>,
    /// Whether only the newest message of each key is kept.
    pub compaction: Option<bool>,
    /// More of Kafka's settings, by their names there; they come before what is said above.
    pub settings: BTreeMap<String, Value>,
}

/// The value of a setting: a text, a number or a truth value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl TopicsConfig {
    /// Reads a TOML document.
    ///
    /// # Errors
    /// Every mistake with its line.
    pub fn from_toml(text: &str) -> Result<Self, Mistakes> {
        let document = Settings::parse(text)?;
        let config: Self = document.read()?;
        if let Some(connection) = &config.connection {
            let checked = connection.check();
            checked.map_err(|error| document.mistake_in("connection", error.message()))?;
        }
        let checked = config
            .topics
            .keys()
            .map(|name| config.spec(name, Contents::Foreign).check());
        let checked = checked.collect::<Result<()>>();
        checked.map_err(|error| document.mistake_in("topics", error.message()))?;
        Ok(config)
    }

    /// What a topic is to be.
    pub fn spec(&self, name: &str, contents: Contents) -> TopicSpec {
        let data = matches!(contents, Contents::Events | Contents::Instruments | Contents::Foreign);
        let kept = matches!(contents, Contents::Events | Contents::Foreign);
        let one = self.topics.get(name).cloned().unwrap_or_default();
        let mut spec = contents.spec(name);
        if let Some(number) = one.partitions.or(self.partitions.filter(|_| data)) {
            spec.partitions = Partitions::Exactly(number);
        }
        spec.replication = one.replication.or(self.replication);
        if let Some(compaction) = one.compaction {
            spec = spec.setting("cleanup.policy", if compaction { "compact" } else { "delete" });
        }
        if let Some(retention) = one.retention.or(self.retention.filter(|_| kept)) {
            spec = spec.setting("retention.ms", retention.millis());
        }
        let settings = one.settings.into_iter();
        settings.fold(spec, |spec, (name, value)| spec.setting(name, value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &TopicsConfig, name: &str) -> Vec<String> {
        let spec = config.spec(name, Contents::of_name(name));
        let settings = spec.settings.iter();
        settings.map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_file_says_what_differs() {
        let config = TopicsConfig::from_toml(
            "partitions = 12\nreplication = 3\nretention = \"30d\"\n[topics.trades]\npartitions = 24\n\
             retention = \"forever\"\nsettings = { \"min.insync.replicas\" = 2, \"preallocate\" = true }\n\
             [topics.reference]\ncompaction = true\n",
        )
        .unwrap();
        let of = |name: &str| config.spec(name, Contents::of_name(name));
        assert_eq!(of("trades").partitions, Partitions::Exactly(24));
        assert_eq!(of("quotes").partitions, Partitions::Exactly(12));
        assert_eq!(of("market-metadata").partitions, Partitions::Exactly(12));
        assert_eq!(of("quotes-dead-letter").partitions, Partitions::AtFirst(1));
        assert_eq!(of("qicore-checkpoints").partitions, Partitions::Exactly(8));
        assert_eq!(of("qicore-checkpoints").replication, Some(3));
        let trades = [
            "cleanup.policy=delete",
            "min.insync.replicas=2",
            "preallocate=true",
            "retention.ms=-1",
        ];
        assert_eq!(settings(&config, "trades"), trades);
        assert_eq!(
            settings(&config, "quotes"),
            ["cleanup.policy=delete", "retention.ms=2592000000"]
        );
        assert_eq!(settings(&config, "market-metadata"), ["cleanup.policy=compact"]);
        assert!(settings(&config, "reference").contains(&"cleanup.policy=compact".to_owned()));
        assert!(settings(&config, "quotes-dead-letter").contains(&"retention.ms=-1".to_owned()));
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        for (text, expected) in [
            ("partition = 3", "line 1: unknown field `partition`"),
            ("[topics.\"a b\"]", "line 1: \"a b\" is no name of a topic"),
            ("\n[topics.a]\npartitions = 0", "a topic has 1 partition at least"),
            ("replication = 40000\n[topics.a]", "replication is the number of copies"),
            ("retention = \"7 days\"", "line 1: \"7 days\" is not a time like"),
            ("[topics.a]\nsettings = { x = [1] }", "line 2: "),
            ("[connection]\nbrokers = \"kafka://host:1\"", "brokers are HOST:PORT"),
        ] {
            let told = TopicsConfig::from_toml(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    #[test]
    fn retentions() {
        assert_eq!("7d".parse::<Retention>().unwrap().millis(), "604800000");
        assert_eq!("forever".parse::<Retention>().unwrap().millis(), "-1");
        for text in ["", "7", "0s", "999ns", "1000000d", "ever"] {
            assert!(text.parse::<Retention>().is_err(), "{text}");
        }
    }
}
