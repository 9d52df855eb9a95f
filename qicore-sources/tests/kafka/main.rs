//! Topics as a source, on a real broker.

mod conformance;
mod faults;
mod groups;
mod poison;
mod starts;

#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{DeadLetter, DeadLetters, Event, Result};
use qicore_sinks::Memory;
use qicore_sources::{KafkaTopics, KafkaTopicsConfig, Until};
use qicore_stores::kafka::Connection;
use qicore_stream::testkit::trades;
use qicore_stream::{Options, Pipeline, PipelineBuilder};

use servers::{Kafka, Record};

/// A topic with so many trades in each partition; partition `p` has the ids from `1000 * p` on.
async fn filled(broker: &Kafka, partitions: i32, each: u64) -> (String, Vec<Event>) {
    let topic = broker.topic(partitions).await;
    let mut all = Vec::new();
    for partition in 0..partitions {
        let first = 1000 * partition as u64;
        let events = trades(first..first + each);
        write(broker, &topic, partition, &events).await;
        all.extend(events);
    }
    (topic, all)
}

async fn write(broker: &Kafka, topic: &str, partition: i32, events: &[Event]) {
    let record = |event: &Event| Record {
        partition,
        ..Record::new(event.symbol.as_str(), &serde_json::to_string(event).unwrap())
    };
    let records: Vec<_> = events.iter().map(record).collect();
    broker.produce(topic, &records).await;
}

fn connection(broker: &Kafka) -> Connection {
    // Dead members are to be noticed within a test.
    Connection::brokers(&*broker.brokers)
        .timeout(Duration::from_secs(10))
        .property("session.timeout.ms", "6000")
        .property("heartbeat.interval.ms", "500")
}

/// A source that reads to the ends and stops.
fn config(broker: &Kafka, topic: &str, group: Option<&str>) -> KafkaTopicsConfig {
    let mut config = KafkaTopicsConfig::default();
    config.connection = connection(broker);
    config.topics = vec![topic.to_owned()];
    config.group = group.map(str::to_owned);
    config.standalone = group.is_none();
    config.until = Until::End;
    config
}

fn pipeline(name: &str, source: KafkaTopicsConfig, sink: Memory) -> PipelineBuilder {
    let options = Options::default().checkpoint_every(Duration::from_millis(50));
    Pipeline::builder(name)
        .source(KafkaTopics::from_config(source))
        .sink(sink)
        .options(options)
}

/// Reads to the end.
async fn read(source: KafkaTopicsConfig) -> Vec<Event> {
    let memory = Memory::new();
    pipeline("reader", source, memory.clone())
        .build()
        .unwrap()
        .run()
        .await
        .unwrap();
    memory.events()
}

fn texts(events: &[Event]) -> Vec<String> {
    let mut texts: Vec<_> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    texts.sort_unstable();
    texts
}

#[track_caller]
fn assert_same(found: &[Event], expected: &[Event]) {
    assert_eq!(found.len(), expected.len(), "lost or doubled");
    assert_eq!(texts(found), texts(expected));
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let patient = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), patient).await;
    assert!(waited.is_ok(), "not within a minute: {what}");
}

/// Dead letters in memory.
#[derive(Clone, Default)]
struct Letters(Arc<Mutex<Vec<DeadLetter>>>);

#[async_trait]
impl DeadLetters for Letters {
    async fn write(&self, letters: Vec<DeadLetter>) -> Result<()> {
        self.0.lock().unwrap().extend(letters);
        Ok(())
    }
}
