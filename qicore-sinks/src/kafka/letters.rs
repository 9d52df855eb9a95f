//! Dead letters in a topic.

use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{DeadLetter, DeadLetters, Error, ErrorKind, Mistakes, Result, Settings};
use qicore_stores::kafka::admin::{self, Contents, LARGEST_LETTER, dead_letter_topic};
use qicore_stores::kafka::{Connection, Headers, Producer, ProducerConfig, Record};
use qicore_stores::messages::{Encoding, VERSION};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Where dead letters go.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KafkaLettersConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// The topic; by default that of the message that was refused, followed by `-dead-letter`, and `qicore-dead-letter` for what
    /// comes from no topic. It is made where it is missing, and keeps its messages for ever.
    pub topic: Option<String>,
}

/// Keeps dead letters in a topic, each as JSON under its id. A letter that comes again after a kill has the id that it had.
#[derive(Debug)]
pub struct KafkaLetters {
    config: KafkaLettersConfig,
    writer: Arc<Mutex<Writer>>,
}

/// In the hands of the thread that works with it.
#[derive(Debug, Default)]
struct Writer {
    producer: Option<Producer>,
    /// Topics that are there.
    topics: Vec<String>,
}

impl KafkaLetters {
    /// Letters to topics of these brokers.
    pub fn new(connection: Connection) -> Self {
        Self::from_config(KafkaLettersConfig {
            connection,
            topic: None,
        })
    }

    /// From its configuration.
    pub fn from_config(config: KafkaLettersConfig) -> Self {
        Self {
            config,
            writer: Arc::default(),
        }
    }

    fn topic(&self, letter: &DeadLetter) -> String {
        let read = letter
            .lane
            .as_str()
            .rsplit_once('/')
            .filter(|_| letter.source == "kafka");
        let beside = || dead_letter_topic(read.map(|(topic, _)| topic));
        self.config.topic.clone().unwrap_or_else(beside)
    }

    async fn make(&self, writer: &mut Writer, topic: &str) -> Result<()> {
        if writer.topics.iter().any(|there| there == topic) {
            return Ok(());
        }
        if admin::partitions(&self.config.connection, &[topic]).await? == [0] {
            admin::create(&self.config.connection, &[Contents::DeadLetters.spec(topic)]).await?;
        }
        writer.topics.push(topic.to_owned());
        Ok(())
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn DeadLetters>, Mistakes> {
    let config: KafkaLettersConfig = settings.read()?;
    config
        .connection
        .check()
        .map_err(|error| settings.mistake(error.message()))?;
    Ok(Arc::new(KafkaLetters::from_config(config)))
}

#[async_trait]
impl DeadLetters for KafkaLetters {
    async fn open(&self) -> Result<()> {
        let mut writer = self.writer.lock().await;
        match &self.config.topic {
            Some(topic) => self.make(&mut writer, topic).await,
            // Whether the brokers can be reached.
            None => admin::partitions(&self.config.connection, &[&dead_letter_topic(None)])
                .await
                .map(drop),
        }
    }

    async fn write(&self, letters: Vec<DeadLetter>) -> Result<()> {
        let mut writer: OwnedMutexGuard<Writer> = Arc::clone(&self.writer).lock_owned().await;
        let mut addressed = Vec::with_capacity(letters.len());
        for letter in letters {
            let topic = self.topic(&letter);
            self.make(&mut writer, &topic).await?;
            addressed.push((topic, letter));
        }
        let connection = self.config.connection.clone();
        let task = tokio::task::spawn_blocking(move || writer.write(&connection, &addressed));
        let failed = |error| {
            Err(Error::new(
                ErrorKind::Internal,
                "kafka.dead_letters",
                format!("not written: {error}"),
            ))
        };
        task.await.unwrap_or_else(failed)
    }
}

impl Writer {
    fn write(&mut self, connection: &Connection, letters: &[(String, DeadLetter)]) -> Result<()> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let mut config = ProducerConfig::default();
                config.message_bytes = LARGEST_LETTER;
                Producer::open(connection, &config)?
            }
        };
        let version = VERSION.to_string();
        for (number, (topic, letter)) in letters.iter().enumerate() {
            let headers = Headers::new(&[
                ("event-type", "dead-letter"),
                ("schema-version", &version),
                ("content-type", Encoding::Json.content_type()),
                ("source", &letter.source),
            ]);
            let payload = serde_json::to_vec(letter).map_err(|error| {
                Error::new(ErrorKind::Internal, "kafka.dead_letters", "a letter has no JSON form").with_source(error)
            })?;
            let record = Record {
                topic,
                partition: None,
                key: letter.id.as_bytes(),
                payload: &payload,
                headers: Some(&headers),
                timestamp: None,
            };
            producer.send(number, &record)?;
        }
        // A topic that is gone is to be made again with the next try.
        if let Some((_, error)) = producer.deliver()?.into_iter().next() {
            self.topics.clear();
            let retry = match error.kind() {
                ErrorKind::Schema => qicore_data::RetryAdvice::Backoff,
                _ => error.retry(),
            };
            return Err(error.with_retry(retry));
        }
        self.producer = Some(producer);
        Ok(())
    }
}
