//! The sink keeps the contract of all sinks.

use std::sync::Arc;

use qicore_data::{Alert, Event, Severity, Sink, Timestamp};
use qicore_sinks::Kafka;
use qicore_stream::testkit::conformance;

use super::{Place, event, label, servers};

/// An alert with a message of so many bytes.
pub(super) fn large(bytes: usize) -> Event {
    let alert = Alert {
        rule: label("rule"),
        severity: Severity::Warning,
        message: incompressible(bytes).into(),
        value: None,
        threshold: None,
    };
    event("BTC/USD", Timestamp::from_nanos(1), alert)
}

/// Hexadecimal digits that look random: half their size is information.
pub(super) fn incompressible(bytes: usize) -> String {
    let mut random = super::Random(9);
    (0..bytes)
        .map(|_| char::from_digit(random.below(16) as u32, 16).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let place = Place::new().await;
    conformance::sink(|| Arc::new(place.sink()) as Arc<dyn Sink>, async || place.all().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_without_transactions() {
    let place = Place::new().await;
    let new = || {
        let mut config = place.config();
        config.transactions = false;
        Arc::new(Kafka::from_config(config)) as Arc<dyn Sink>
    };
    conformance::sink(new, async || place.all().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_the_topic_does_not_take() {
    for transactions in [true, false] {
        let place = Place::on(servers::kafka().await, &[("max.message.bytes", "5000")]).await;
        let new = || {
            let mut config = place.config();
            config.transactions = transactions;
            Arc::new(Kafka::from_config(config)) as Arc<dyn Sink>
        };
        conformance::refusals(new, large(6000), async || place.all().await).await;
    }
}
