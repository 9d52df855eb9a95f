//! The topics that pipelines read and write.

use std::collections::{BTreeMap, BTreeSet};

use qicore::sinks::{KafkaConfig, KafkaLettersConfig};
use qicore::sources::KafkaTopicsConfig;
use qicore::stores::kafka::Connection;
use qicore::stores::kafka::admin::{Contents, dead_letter_topic};
use qicore::{Error, EventType, Mistakes, Settings, SinkOptions};

/// The topics of a cluster, and what each is for.
pub(super) struct Cluster {
    pub(super) connection: Connection,
    pub(super) topics: BTreeMap<String, Contents>,
}

/// What is known of a topic from the pipelines.
#[derive(Default)]
struct Use {
    /// What it is for, where that is not to hold events.
    other: Option<Contents>,
    /// The kinds of events that are written to it.
    kinds: BTreeSet<EventType>,
}

impl Use {
    fn contents(&self, name: &str) -> Contents {
        match self.other {
            Some(other) => other,
            // Nobody says what is in it.
            None if self.kinds.is_empty() => Contents::of_name(name),
            // One other event among the instruments of a symbol, and compaction would remove it or them.
            None if self.kinds.iter().all(|kind| *kind == EventType::Instrument) => Contents::Instruments,
            None => Contents::Events,
        }
    }
}

struct Used {
    connection: Connection,
    /// Whether a sink names it. Its user may write, and is rather one who may make topics than a reader is.
    by_sink: bool,
    topics: BTreeMap<String, Use>,
}

/// What the pipelines that have been read use.
pub(super) struct Uses {
    /// To be used in place of theirs.
    administrator: Option<Connection>,
    /// By the brokers' addresses: a source and a sink of one cluster may be of different users.
    clusters: BTreeMap<String, Used>,
}

impl Uses {
    pub(super) fn new(administrator: Option<Connection>) -> Self {
        Self {
            administrator,
            clusters: BTreeMap::new(),
        }
    }

    /// Adds what a pipeline file names. Of sections that are not of Kafka nothing is read, and so no secret needed.
    pub(super) fn read(&mut self, text: &str) -> Result<(), Mistakes> {
        let mut document = Settings::parse(text)?;
        for mut section in document.take_sections("sink")? {
            if is_kafka(&mut section)? {
                SinkOptions::take(&mut section)?;
                self.sink(section)?;
            }
        }
        // Rejects go beside what was read.
        let mut read = Vec::new();
        if let Some(mut section) = document.take_section("source")?
            && is_kafka(&mut section)?
        {
            read.extend(self.source(section, None)?.into_iter().map(Some));
        } else {
            read.push(None);
        }
        for mut section in document.take_sections("table")? {
            if is_kafka(&mut section)? {
                section.take_str("name")?;
                // A table is made of instruments.
                let topics = self.source(section, Some(EventType::Instrument))?;
                read.extend(topics.into_iter().map(Some));
            }
        }
        // A text is the path of a file.
        if document.has_table("dead_letters")
            && let Some(mut section) = document.take_section("dead_letters")?
            && is_kafka(&mut section)?
        {
            self.letters(section, &read)?;
        }
        Ok(())
    }

    /// Leaves the connection out, where it is not asked for: its secrets may not be at hand.
    fn without_connection(&self, section: &mut Settings) -> Result<(), Mistakes> {
        match self.administrator {
            Some(_) => section.take_section("connection").map(drop),
            None => Ok(()),
        }
    }

    fn sink(&mut self, mut section: Settings) -> Result<(), Mistakes> {
        self.without_connection(&mut section)?;
        let config: KafkaConfig = section.read()?;
        let mistake = |error: Error| section.mistake(error.message());
        config
            .connection
            .check()
            .and_then(|()| config.topics.check())
            .map_err(mistake)?;
        let used = self.cluster(&config.connection, true);
        for (kind, topic) in config.destinations() {
            used.topics.entry(topic.to_owned()).or_default().kinds.insert(kind);
        }
        if config.transactions {
            used.topics.entry(config.checkpoints).or_default().other = Some(Contents::Checkpoints);
        }
        Ok(())
    }

    /// Gives a source's topics.
    fn source(&mut self, mut section: Settings, kind: Option<EventType>) -> Result<Vec<String>, Mistakes> {
        self.without_connection(&mut section)?;
        let config: KafkaTopicsConfig = section.read()?;
        config
            .connection
            .check()
            .map_err(|error| section.mistake(error.message()))?;
        let used = self.cluster(&config.connection, false);
        for topic in &config.topics {
            used.topics.entry(topic.clone()).or_default().kinds.extend(kind);
        }
        Ok(config.topics)
    }

    /// `read` are the topics that messages come from; `None` where they come from no topic.
    fn letters(&mut self, mut section: Settings, read: &[Option<String>]) -> Result<(), Mistakes> {
        self.without_connection(&mut section)?;
        let config: KafkaLettersConfig = section.read()?;
        let checked = config.connection.check();
        checked.map_err(|error| section.mistake(error.message()))?;
        let topics = match config.topic {
            Some(topic) => vec![topic],
            None => read.iter().map(|topic| dead_letter_topic(topic.as_deref())).collect(),
        };
        let used = self.cluster(&config.connection, true);
        for topic in topics {
            used.topics.entry(topic).or_default().other = Some(Contents::DeadLetters);
        }
        Ok(())
    }

    fn cluster(&mut self, connection: &Connection, by_sink: bool) -> &mut Used {
        let connection = self.administrator.as_ref().unwrap_or(connection);
        let new = || Used {
            connection: connection.clone(),
            by_sink,
            topics: BTreeMap::new(),
        };
        let used = self
            .clusters
            .entry(connection.addresses().to_owned())
            .or_insert_with(new);
        if by_sink && !used.by_sink {
            (used.connection, used.by_sink) = (connection.clone(), true);
        }
        used
    }

    pub(super) fn clusters(self) -> Vec<Cluster> {
        let cluster = |used: Used| {
            let topics = used.topics.into_iter();
            Cluster {
                topics: topics
                    .map(|(name, of)| {
                        let contents = of.contents(&name);
                        (name, contents)
                    })
                    .collect(),
                connection: used.connection,
            }
        };
        self.clusters.into_values().map(cluster).collect()
    }
}

fn is_kafka(section: &mut Settings) -> Result<bool, Mistakes> {
    Ok(section.take_str("type")?.as_deref() == Some("kafka"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(files: &[&str]) -> Vec<(String, Vec<(String, Contents)>)> {
        let mut uses = Uses::new(None);
        for file in files {
            uses.read(file).unwrap();
        }
        let told = |cluster: Cluster| {
            (
                cluster.connection.addresses().to_owned(),
                cluster.topics.into_iter().collect(),
            )
        };
        uses.clusters().into_iter().map(told).collect()
    }

    const INGEST: &str = r#"
        name = "ingest"
        dead_letters = "letters.jsonl"
        source.type = "generator"
        [[sink]]
        name = "candles"
        type = "kafka"
        only = ["candle", "instrument"]
        topics = { instrument = "reference" }
        connection.brokers = "a:1"
        batch.events = 5
        [[sink]]
        type = "timescale"
        connection.password = { env = "QICORE_NOT_SET" }
    "#;

    const VALIDATE: &str = r#"
        name = "validate"
        dead_letters = { type = "kafka", connection.brokers = "b:1" }
        [source]
        type = "kafka"
        topics = ["ohlcv-raw", "foreign"]
        group = "validate"
        connection.brokers = "a:1"
        [[table]]
        name = "instruments"
        type = "kafka"
        topics = ["reference"]
        standalone = true
        connection.brokers = "a:1"
        [[sink]]
        type = "kafka"
        topics = { candle = "ohlcv-validated" }
        only = ["candle"]
        checkpoints = "marks"
        connection.brokers = "b:1"
    "#;

    #[test]
    fn what_pipelines_use_is_gathered_by_cluster() {
        use Contents::{Checkpoints, DeadLetters, Events, Foreign, Instruments};
        let owned = |topics: &[(&str, Contents)]| -> Vec<(String, Contents)> {
            topics
                .iter()
                .map(|(name, contents)| ((*name).to_owned(), *contents))
                .collect()
        };
        let a = [
            ("foreign", Foreign),
            ("ohlcv-raw", Events),
            ("qicore-checkpoints", Checkpoints),
            ("reference", Instruments),
        ];
        let b = [
            ("foreign-dead-letter", DeadLetters),
            ("marks", Checkpoints),
            ("ohlcv-raw-dead-letter", DeadLetters),
            ("ohlcv-validated", Events),
            // A table's messages are refused as well.
            ("reference-dead-letter", DeadLetters),
        ];
        let expected = [("a:1".to_owned(), owned(&a)), ("b:1".to_owned(), owned(&b))];
        assert_eq!(used(&[INGEST, VALIDATE]), expected);
    }

    #[test]
    fn instruments_among_other_events_are_not_compacted() {
        let mixed = "[[sink]]\ntype = \"kafka\"\nonly = [\"instrument\", \"trade\"]\ntransactions = false\n\
                     topics = { trade = \"market-metadata\" }\n";
        let expected = vec![("market-metadata".to_owned(), Contents::Events)];
        assert_eq!(used(&[mixed])[0].1, expected);
    }

    #[test]
    fn mistakes_are_told_with_their_lines() {
        let mistakes = |text: &str| Uses::new(None).read(text).unwrap_err().to_string();
        let told = mistakes("[[sink]]\ntype = \"kafka\"\ntopcs = { candle = \"x\" }\n");
        assert!(told.starts_with("line 3: unknown field `topcs`"), "{told}");
        let told = mistakes("dead_letters = { type = \"kafka\", topc = \"x\" }\n");
        assert!(told.starts_with("line 1: unknown field `topc`"), "{told}");
        let told = mistakes("[[sink]]\ntype = \"kafka\"\nconnection.brokers = { env = \"QICORE_NOT_SET\" }\n");
        assert!(told.contains("set the environment variable QICORE_NOT_SET"), "{told}");
    }

    #[test]
    fn an_administrator_needs_no_secrets_of_the_pipelines() {
        let mut uses = Uses::new(Some(Connection::brokers("c:1")));
        let sink =
            "[[sink]]\ntype = \"kafka\"\nonly = [\"trade\"]\nconnection.brokers = { env = \"QICORE_NOT_SET\" }\n";
        uses.read(sink).unwrap();
        uses.read(VALIDATE).unwrap();
        let clusters = uses.clusters();
        assert_eq!(clusters.len(), 1);
        assert_eq!(clusters[0].connection.addresses(), "c:1");
        assert_eq!(clusters[0].topics.get("trades"), Some(&Contents::Events));
    }
}
