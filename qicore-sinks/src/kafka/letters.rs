//! Dead letters in a topic.

use std::sync::Arc;

use async_trait::async_trait;
use qicore_data::{DeadLetter, DeadLetters, Error, ErrorKind, Mistakes, Result, RetryAdvice, Settings};
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

/// Keeps dead letters in a topic, each as JSON under its id. A letter that comes again after a kill has the id that it had. Of one
/// that is larger than the topic takes only the beginning of what was refused is kept; the rest is where it was read.
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

/// Bytes that are left of what was refused, where a letter is too large for its topic: first all, as another letter may have been
/// the one, then so many, then none.
const CUTS: [Option<usize>; 3] = [None, Some(64 << 10), Some(0)];

impl Writer {
    fn write(&mut self, connection: &Connection, letters: &[(String, DeadLetter)]) -> Result<()> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => open(connection, &ProducerConfig::default())?,
        };
        let mut refused = self.send(&producer, letters)?;
        if refused.is_empty() {
            self.producer = Some(producer);
            return Ok(());
        }
        drop(producer);
        // A broker refuses a batch for one of its messages.
        let mut alone = ProducerConfig::default();
        alone.batch_messages = 1;
        for cut in CUTS {
            // One that goes on after a refusal may fail for it.
            let producer = open(connection, &alone)?;
            let shorter = refused.iter().map(|number| {
                let (topic, letter) = &letters[*number];
                (
                    topic.clone(),
                    cut.map_or_else(|| letter.clone(), |bytes| letter.cut(bytes)),
                )
            });
            let shorter: Vec<_> = shorter.collect();
            let again = self.send(&producer, &shorter)?;
            refused = again.into_iter().map(|number| refused[number]).collect();
            if refused.is_empty() {
                break;
            }
        }
        match refused.first() {
            None => Ok(()),
            Some(number) => {
                let message =
                    "the topic of dead letters takes none that says what was refused: raise its max.message.bytes";
                let error = Error::new(ErrorKind::Rejected, "kafka.dead_letters", message);
                Err(error.with("topic", &letters[*number].0))
            }
        }
    }

    /// Sends letters and gives the places of those that are too large.
    fn send(&mut self, producer: &Producer, letters: &[(String, DeadLetter)]) -> Result<Vec<usize>> {
        let mut refused = Vec::new();
        for (number, (topic, letter)) in letters.iter().enumerate() {
            match send(producer, number, topic, letter) {
                Err(error) if error.kind() == ErrorKind::Rejected => refused.push(number),
                sent => sent?,
            }
        }
        for (number, error) in producer.deliver()? {
            if error.kind() == ErrorKind::Rejected {
                refused.push(number);
                continue;
            }
            // A topic that is gone is to be made again with the next try.
            self.topics.clear();
            let retry = match error.kind() {
                ErrorKind::Schema => RetryAdvice::Backoff,
                _ => error.retry(),
            };
            return Err(error.with_retry(retry));
        }
        Ok(refused)
    }
}

fn open(connection: &Connection, config: &ProducerConfig) -> Result<Producer> {
    let mut config = config.clone();
    config.message_bytes = LARGEST_LETTER;
    Producer::open(connection, &config)
}

fn send(producer: &Producer, number: usize, topic: &str, letter: &DeadLetter) -> Result<()> {
    let headers = Headers::new(&[
        ("event-type", "dead-letter"),
        ("schema-version", &VERSION.to_string()),
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
    producer.send(number, &record)
}
