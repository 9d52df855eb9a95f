//! The least that anybody would have to do to write to a topic and to read it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use qicore::{Event, EventType};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Topic, client};
use crate::Result;

/// A message as it goes to the broker.
#[derive(Debug, Clone)]
pub struct Ready {
    key: String,
    payload: Vec<u8>,
    timestamp: i64,
}

impl Ready {
    /// The messages that the sink writes for these events.
    pub fn of(events: &[Event]) -> Result<Vec<Self>> {
        let ready = |event: &Event| {
            Ok(Self {
                key: event.symbol.to_string(),
                payload: serde_json::to_vec(event)?,
                timestamp: event.timestamp.nanos().div_euclid(1_000_000),
            })
        };
        events.iter().map(ready).collect()
    }
}

/// After so many messages what was delivered in between is freed: without, this loop is a fifth slower.
const TURN: usize = 512;

/// How long the broker is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of the sink's producer.
fn producer(topic: &Topic<'_>, transactions: bool) -> ClientConfig {
    let mut config = client(topic.brokers());
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "30000")
        .set("message.max.bytes", "1048588")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "200000")
        .set("queue.buffering.max.kbytes", "65536");
    if transactions {
        config.set("transactional.id", topic.name());
    }
    config
}

/// Writes messages, `together` of them at a time, each time in a transaction or not. The time from the first one, with a
/// producer that is connected, until all are acknowledged.
pub fn produce(
    topic: &Topic<'_>,
    event_type: EventType,
    ready: &[Ready],
    together: usize,
    transactions: bool,
) -> Result<Duration> {
    let producer: BaseProducer = producer(topic, transactions).create()?;
    match transactions {
        true => producer.init_transactions(PATIENCE)?,
        false => drop(producer.client().fetch_metadata(Some(topic.name()), PATIENCE)?),
    }
    let headers = [
        ("event-type", event_type.as_str()),
        ("schema-version", "1"),
        ("content-type", "application/json"),
        ("source", "bench"),
    ];
    let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header {
            key,
            value: Some(*value),
        })
    });
    let start = Instant::now();
    for messages in ready.chunks(together) {
        if transactions {
            producer.begin_transaction()?;
        }
        for (number, message) in messages.iter().enumerate() {
            let record = BaseRecord::to(topic.name())
                .key(&message.key)
                .payload(&message.payload)
                .timestamp(message.timestamp)
                .headers(headers.clone());
            send(&producer, record)?;
            if number % TURN == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        delivered(&producer)?;
        if transactions {
            producer.commit_transaction(PATIENCE)?;
        }
    }
    Ok(start.elapsed())
}

fn send(producer: &BaseProducer, mut record: BaseRecord<'_, String, Vec<u8>>) -> Result<()> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Waits until everything is acknowledged: in steps of a millisecond, where the driver's own `flush` takes 100 of them.
fn delivered(producer: &BaseProducer) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while producer.in_flight_count() > 0 {
        if Instant::now() > until {
            return Err("the broker does not answer".into());
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// How a message is decoded.
pub type Decode = fn(&[u8]) -> Result<Event>;

/// As anybody would: by serde.
pub fn by_serde(payload: &[u8]) -> Result<Event> {
    Ok(serde_json::from_slice(payload)?)
}

/// As the source does.
pub fn directly(payload: &[u8]) -> Result<Event> {
    Ok(Event::from_json(std::str::from_utf8(payload)?)?)
}

/// Reads and decodes everything in a topic of so many partitions, with the settings of the source's consumer. The time from
/// the making of the consumer until the last event.
pub fn consume(topic: &Topic<'_>, partitions: i32, rows: u64, decode: Decode) -> Result<Duration> {
    let start = Instant::now();
    let mut config = client(topic.brokers());
    config
        .set("group.id", "qicore-bench")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("queued.min.messages", "100000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "20");
    let consumer: BaseConsumer = config.create()?;
    let mut from = TopicPartitionList::new();
    for partition in 0..partitions {
        from.add_partition_offset(topic.name(), partition, Offset::Offset(0))?;
    }
    consumer.assign(&from)?;
    let (mut ended, mut read) = (0, 0);
    while ended < partitions {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                black_box(decode(message.payload().unwrap_or_default())?);
                read += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err("the topic's end is not reached".into()),
        }
    }
    match read == rows {
        true => Ok(start.elapsed()),
        false => Err(format!("{read} of {rows} messages were read").into()),
    }
}
