//! What topics are for, and what they are to be for that.

use super::{Partitions, TopicSpec};
use crate::kafka::checkpoints;

/// Partitions of a topic of events, where it is made and no number is asked for.
const PARTITIONS: i32 = 4;
/// Bytes that a dead letter may have.
pub const LARGEST_LETTER: usize = 8 << 20;
/// What the name of a topic of dead letters ends with.
const DEAD_LETTER: &str = "-dead-letter";

/// The topics of events that there are by default, and what is in them.
pub const DEFAULT_TOPICS: &[(&str, &str)] = &[
    ("alerts", "what rules have found"),
    ("analytics-requests", "what analyses are asked for"),
    ("books", "order books: snapshots and changes"),
    ("gaps", "what is missing in streams"),
    (
        "market-metadata",
        "instruments: the newest word on each, by venue and its own name",
    ),
    ("ohlcv-raw", "candles as providers send them"),
    ("ohlcv-validated", "candles that have passed validation"),
    ("prices", "prices of aggregators"),
    ("quotes", "best bids and offers"),
    ("series", "named values over time: indicators, dominance"),
    ("tickers", "figures of the last 24 hours"),
    ("trades", "trades"),
];

/// What a topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contents {
    /// Events, all of which count: never compacted.
    Events,
    /// Instruments, of which the newest word counts: compacted.
    Instruments,
    /// Dead letters: never removed.
    DeadLetters,
    /// Checkpoints of lanes.
    Checkpoints,
    /// Whatever somebody else makes of it: its cleanup is not our business.
    Foreign,
}

impl Contents {
    /// By the names of the default topics.
    pub fn of_name(name: &str) -> Self {
        match name {
            "market-metadata" => Self::Instruments,
            checkpoints::DEFAULT_TOPIC => Self::Checkpoints,
            _ if name.ends_with(DEAD_LETTER) => Self::DeadLetters,
            _ if DEFAULT_TOPICS.iter().any(|(default, _)| *default == name) => Self::Events,
            _ => Self::Foreign,
        }
    }

    /// What a topic of this kind is to be. Its number of partitions is a suggestion, but for checkpoints.
    pub fn spec(self, name: impl Into<String>) -> TopicSpec {
        let name = name.into();
        let of = |partitions| TopicSpec::new(&name, partitions).partitions(Partitions::AtFirst(partitions));
        match self {
            Self::Events => of(PARTITIONS).setting("cleanup.policy", "delete"),
            Self::Instruments => of(PARTITIONS).setting("cleanup.policy", "compact"),
            // Few, and looked at in their order; a letter holds its message as a text within a text.
            Self::DeadLetters => of(1)
                .setting("cleanup.policy", "delete")
                .setting("max.message.bytes", LARGEST_LETTER.to_string())
                .setting("retention.bytes", "-1")
                .setting("retention.ms", "-1"),
            Self::Checkpoints => TopicSpec::checkpoints(name),
            Self::Foreign => of(PARTITIONS),
        }
    }
}

/// The name of the topic that takes what readers of a topic have refused, or of that for what comes from no topic.
pub fn dead_letter_topic(read: Option<&str>) -> String {
    format!("{}{DEAD_LETTER}", read.unwrap_or("qicore"))
}

/// All topics that there are by default, with the dead letters and the checkpoints.
pub fn default_topics() -> Vec<(String, Contents)> {
    let events = DEFAULT_TOPICS.iter().map(|(name, _)| (*name).to_owned());
    let read = DEFAULT_TOPICS.iter().map(|(name, _)| Some(*name));
    let letters = read.chain([None]).map(dead_letter_topic);
    let names = events.chain(letters).chain([checkpoints::DEFAULT_TOPIC.to_owned()]);
    names.map(|name| (name.clone(), Contents::of_name(&name))).collect()
}

#[cfg(test)]
mod tests {
    use qicore_data::EventType;

    use super::*;
    use crate::kafka::Topics;

    #[test]
    fn every_kind_of_event_has_a_default_topic() {
        for event_type in EventType::ALL {
            let topics = Topics::default();
            let contents = Contents::of_name(topics.of(*event_type));
            let instruments = *event_type == EventType::Instrument;
            let expected = if instruments {
                Contents::Instruments
            } else {
                Contents::Events
            };
            assert_eq!(contents, expected, "{event_type}");
        }
        let all = default_topics();
        assert_eq!(all.len(), 2 * DEFAULT_TOPICS.len() + 2);
        assert!(all.iter().all(|(name, contents)| contents.spec(name).check().is_ok()));
    }

    #[test]
    fn what_topics_are_to_be() {
        let setting = |topic: &str, name: &str| Contents::of_name(topic).spec(topic).settings.get(name).cloned();
        assert_eq!(setting("market-metadata", "cleanup.policy").as_deref(), Some("compact"));
        assert_eq!(setting("ohlcv-raw", "cleanup.policy").as_deref(), Some("delete"));
        assert_eq!(setting("ohlcv-raw", "retention.ms"), None, "the brokers' default");
        assert_eq!(setting("x-dead-letter", "retention.ms").as_deref(), Some("-1"));
        assert_eq!(
            setting("qicore-checkpoints", "cleanup.policy").as_deref(),
            Some("compact")
        );
        assert_eq!(setting("somebody-elses", "cleanup.policy"), None);
    }
}
