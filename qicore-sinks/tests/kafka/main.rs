//! The sink on a real broker.

mod access;
mod conformance;
mod fencing;
mod letters;
mod messages;
mod outages;
mod refusals;

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../qicore-stores/tests/servers/mod.rs"]
mod servers;

use std::time::Duration;

use qicore_data::{Event, Sink, WriterId};
use qicore_sinks::{Kafka, KafkaConfig};
use qicore_stores::kafka::{Connection, Topics};

use common::*;

/// A topic of a test's own, for all kinds of events, and one of checkpoints.
struct Place {
    broker: servers::Kafka,
    topic: String,
    checkpoints: String,
}

impl Place {
    async fn new() -> Self {
        Self::on(servers::kafka().await, &[]).await
    }

    async fn on(broker: servers::Kafka, settings: &[(&str, &str)]) -> Self {
        let (topic, checkpoints) = (servers::unique("topic"), servers::unique("checkpoints"));
        broker.create(&topic, 3, settings).await;
        Self {
            broker,
            topic,
            checkpoints,
        }
    }

    fn config(&self) -> KafkaConfig {
        let mut config = KafkaConfig::default();
        // The broker of all tests may have much to do.
        config.connection = Connection::brokers(&*self.broker.brokers).timeout(Duration::from_secs(60));
        let kinds = qicore_data::EventType::ALL.iter();
        config.topics = kinds.fold(Topics::default(), |topics, kind| topics.with(*kind, &self.topic));
        config.checkpoints.clone_from(&self.checkpoints);
        config
    }

    /// A sink that is not open yet.
    fn sink(&self) -> Kafka {
        Kafka::from_config(self.config())
    }

    /// What readers see.
    async fn all(&self) -> Vec<Event> {
        let records = self.broker.read(&self.topic).await;
        records
            .iter()
            .map(|record| serde_json::from_str(record.text()).unwrap())
            .collect()
    }
}

/// A pipeline's open sink.
async fn open(place: &Place, pipeline: &str) -> Kafka {
    let sink = place.sink();
    sink.open(&WriterId::new(pipeline, "sink")).await.unwrap();
    sink
}
