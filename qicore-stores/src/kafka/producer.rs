//! A producer that knows what became of each message.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result, RetryAdvice};
use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use serde::Deserialize;

use super::client::Told;
use super::error::mapped;
use super::{Connection, Headers};

/// How batches of messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast.
    #[default]
    Lz4,
    /// Smaller, and slower.
    Zstd,
}

impl Compression {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// What a producer is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerConfig {
    /// How batches are compressed.
    pub compression: Compression,
    /// How long a batch waits for more messages.
    pub linger: Duration,
    /// How long a message may wait for its acknowledgement.
    pub timeout: Duration,
    /// Most bytes of a message.
    pub message_bytes: usize,
    /// Most bytes of a batch of messages.
    pub batch_bytes: usize,
    /// Most messages of a batch. With one, a message that a broker refuses fails alone.
    pub batch_messages: usize,
    /// Makes the producer transactional; whoever has the same one from now on ends this one's transactions.
    pub transactional_id: Option<String>,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            linger: Duration::from_millis(5),
            timeout: Duration::from_secs(30),
            message_bytes: 1_000_000,
            batch_bytes: 1_000_000,
            batch_messages: 100_000,
            transactional_id: None,
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where to.
    pub topic: &'a str,
    /// The partition, where the key does not decide.
    pub partition: Option<i32>,
    /// What decides on the partition, and what a compacted topic keeps one message of.
    pub key: &'a [u8],
    /// The value.
    pub payload: &'a [u8],
    /// What they tell of it.
    pub headers: Option<&'a Headers>,
    /// Milliseconds since 1970; the producer's clock if there is none.
    pub timestamp: Option<i64>,
}

/// Sends messages, idempotently and acknowledged by all replicas that are in sync.
///
/// All calls block: they are for threads that may wait. Not for several callers at a time.
pub struct Producer {
    inner: BaseProducer<Context>,
    timeout: Duration,
    transactional: bool,
}

#[derive(Debug, Default)]
struct Context {
    told: Told,
    /// What was not delivered: the caller's number of a message, and why.
    failed: Mutex<BTreeMap<usize, KafkaError>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        Told::log(level, facility, line);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.told.error(&error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Err((error, _)) = result {
            self.failed().insert(number, error.clone());
        }
    }
}

impl Context {
    fn failed(&self) -> MutexGuard<'_, BTreeMap<usize, KafkaError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often it is asked whether messages were answered for.
const ANSWERS: Duration = Duration::from_millis(1);
/// After so many messages what was delivered in between is freed, so that its memory is used again while it is in the caches.
/// The thread that sends does it: to free on one thread what another one allocates costs the allocator's locks.
const TURN: usize = 512;

impl Producer {
    /// Makes a producer; a transactional one ends what others of its id have left unfinished.
    ///
    /// # Errors
    /// What the brokers fail with.
    pub fn open(connection: &Connection, config: &ProducerConfig) -> Result<Self> {
        let failed = |error| mapped("kafka.producer", error);
        let mut client = connection.client();
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // As the Java clients have it: all producers send a key to the same partition.
            .set("partitioner", "murmur2_random")
            .set("compression.type", config.compression.as_str())
            .set("linger.ms", config.linger.as_millis().to_string())
            .set("message.timeout.ms", config.timeout.as_millis().to_string())
            // Topics are looked for before anything is sent to them: one that is missing was deleted.
            .set("topic.metadata.propagation.max.ms", "5000")
            .set("message.max.bytes", config.message_bytes.to_string())
            .set("batch.size", config.batch_bytes.to_string())
            .set("batch.num.messages", config.batch_messages.to_string())
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "65536");
        if let Some(id) = &config.transactional_id {
            client
                .set("transactional.id", id)
                // Not shorter than a request may take.
                .set(
                    "transaction.timeout.ms",
                    (2 * config.timeout.max(connection.timeout)).as_millis().to_string(),
                );
        }
        let inner = BaseProducer::from_config_and_context(&client, Context::default()).map_err(failed)?;
        let producer = Self {
            inner,
            timeout: connection.timeout,
            transactional: config.transactional_id.is_some(),
        };
        if producer.transactional {
            producer.until_done("kafka.init_transactions", |inner, wait| inner.init_transactions(wait))?;
        }
        Ok(producer)
    }

    /// Asks where topics lie, so that the first messages need not wait for it.
    ///
    /// # Errors
    /// What the brokers fail with.
    pub fn find(&self, topics: &[&str]) -> Result<()> {
        for topic in topics {
            let found = self.inner.client().fetch_metadata(Some(topic), self.timeout);
            found.map_err(|error| self.explained("kafka.find", error))?;
        }
        Ok(())
    }

    /// Takes a message, which is delivered later; waits while too many are on their way. `number` is what
    /// [`deliver`](Self::deliver) calls it. A message that is not taken because one before it has failed in the same
    /// transaction is told there, with that one.
    ///
    /// # Errors
    /// What librdkafka fails with at once, as for a message that is too large.
    pub fn send(&self, number: usize, record: &Record<'_>) -> Result<()> {
        let mut waiting = BaseRecord::<'_, [u8], [u8], usize>::with_opaque_to(record.topic, number)
            .key(record.key)
            .payload(record.payload);
        waiting.partition = record.partition;
        waiting.timestamp = record.timestamp;
        waiting.headers = record.headers.map(|headers| headers.owned.clone());
        if number % TURN == TURN - 1 {
            self.inner.poll(Duration::ZERO);
        }
        loop {
            match self.inner.send(waiting) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    waiting = back;
                    self.inner.poll(Duration::from_millis(10));
                }
                Err((error @ KafkaError::MessageProduction(RDKafkaErrorCode::State), _)) if self.transactional => {
                    self.failed().insert(number, error);
                    return Ok(());
                }
                Err((error, _)) => return Err(mapped("kafka.send", error).with("topic", record.topic)),
            }
        }
    }

    /// Waits until it is known of every message what became of it, and tells those that were not delivered.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) where that is not known in time; such messages may be delivered yet.
    pub fn deliver(&self) -> Result<BTreeMap<usize, Error>> {
        // Each message ends by its own timeout.
        if !self.is_settled_within(Duration::from_secs(3600)) {
            let error = Error::new(
                ErrorKind::Timeout,
                "kafka.deliver",
                "messages are neither delivered nor failed",
            );
            return Err(self
                .inner
                .context()
                .told
                .explain(error.with_retry(RetryAdvice::Backoff)));
        }
        let failed = std::mem::take(&mut *self.failed());
        let told = |(number, error)| (number, self.explained("kafka.deliver", error));
        Ok(failed.into_iter().map(told).collect())
    }

    /// Waits until no message is on its way. The driver's own `flush` looks up only every tenth of a second.
    fn is_settled_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut waiting = self.inner.in_flight_count();
        while waiting > 0 {
            self.inner.poll(Duration::ZERO);
            let left = self.inner.in_flight_count();
            if left >= waiting {
                if Instant::now() > until {
                    return false;
                }
                // What still waits of a transaction that has failed is not sent any more.
                if self.transactional && !self.failed().is_empty() {
                    self.inner.purge(PurgeConfig::default().queue());
                }
                std::thread::sleep(ANSWERS);
            }
            waiting = left;
        }
        true
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// What the producer fails with.
    pub fn begin(&self) -> Result<()> {
        let begun = self.inner.begin_transaction();
        begun.map_err(|error| self.explained("kafka.begin", error))
    }

    /// Ends a transaction whose messages are [delivered](Self::deliver).
    ///
    /// # Errors
    /// Also where it is not known whether the transaction is committed; who opens a producer of the same id finds out.
    pub fn commit(&self) -> Result<()> {
        self.until_done("kafka.commit", |inner, wait| inner.commit_transaction(wait))
    }

    /// What a transaction has failed with, some of whose messages were **not** [delivered](Self::deliver): they themselves may
    /// say no more than that they were not sent. Where all were delivered, this would commit it.
    pub fn failure(&self) -> Option<Error> {
        // The driver commits no transaction with such messages.
        self.commit().err()
    }

    /// Gives a transaction up.
    ///
    /// # Errors
    /// What the brokers fail with: then the producer is of no use any more.
    pub fn abort(&self) -> Result<()> {
        self.inner.purge(PurgeConfig::default().queue().inflight());
        self.is_settled_within(self.timeout);
        let aborted = self.until_done("kafka.abort", |inner, wait| inner.abort_transaction(wait));
        self.failed().clear();
        aborted
    }

    /// Calls again what may be called again, for as long as a request may take.
    fn until_done(
        &self,
        operation: &'static str,
        call: impl Fn(&BaseProducer<Context>, Duration) -> Result<(), KafkaError>,
    ) -> Result<()> {
        let until = Instant::now() + self.timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match call(&self.inner, left.max(Duration::from_millis(100))) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(self.explained(operation, error)),
            }
        }
    }

    fn explained(&self, operation: &'static str, error: KafkaError) -> Error {
        let fatal = self.inner.client().fatal_error();
        let error = self.inner.context().told.explain(mapped(operation, error));
        match fatal {
            // What comes after a fatal error says only that there was one.
            Some((code, reason)) if error.kind() == ErrorKind::Unavailable => {
                mapped(operation, KafkaError::Global(code)).with("reason", reason)
            }
            _ => error,
        }
    }

    fn failed(&self) -> MutexGuard<'_, BTreeMap<usize, KafkaError>> {
        self.inner.context().failed()
    }

    /// Whether a fatal error has made it useless.
    pub fn is_dead(&self) -> bool {
        self.inner.client().fatal_error().is_some()
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("transactional", &self.transactional)
            .finish_non_exhaustive()
    }
}
