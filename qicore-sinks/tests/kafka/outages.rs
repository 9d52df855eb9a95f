//! Brokers that are killed, and brokers that are away.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{ErrorKind, RetryAdvice, Sink, WriterId};

use super::{Place, assert_same, market, pipeline, servers::Own};

async fn own() -> Arc<Own> {
    Arc::new(tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap())
}

/// A broker that does not answer is asked again soon.
fn impatient(place: &Place) -> qicore_sinks::KafkaConfig {
    let mut config = place.config();
    config.connection.timeout = Duration::from_secs(5);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_killed_at_work() {
    let own = own().await;
    for transactions in [true, false] {
        let place = Place::on(own.broker(), &[]).await;
        let (source, events) = market(3, 20_000);
        let mut config = impatient(&place);
        config.transactions = transactions;
        let run = pipeline("p", source, qicore_sinks::Kafka::from_config(config))
            .build()
            .unwrap();
        let run = tokio::spawn(run.run());
        for part in [10, 2] {
            while place.broker.ends(&place.topic).await.iter().sum::<i64>() < events.len() as i64 / part {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(!run.is_finished(), "it was done too soon");
            own.restart().await;
        }
        run.await.unwrap().unwrap();
        let mut found = place.all().await;
        // Without transactions what was on its way for too long is sent again.
        if !transactions {
            let mut seen = std::collections::HashSet::new();
            found.retain(|event| seen.insert(serde_json::to_string(event).unwrap()));
        }
        assert_same(&found, &events);
    }
}

/// Messages time out, the transaction is ended by the broker: nothing of that is for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_away_for_long() {
    let own = own().await;
    let place = Place::on(own.broker(), &[]).await;
    let (source, events) = market(2, 3000);
    let run = pipeline("p", source, qicore_sinks::Kafka::from_config(impatient(&place)))
        .build()
        .unwrap();
    let run = tokio::spawn(run.run());
    tokio::time::sleep(Duration::from_millis(300)).await;
    own.aside(Own::kill).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    own.aside(Own::start).await;
    run.await.unwrap().unwrap();
    assert_same(&place.all().await, &events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_comes_later() {
    let own = own().await;
    let place = Place::on(own.broker(), &[]).await;
    own.aside(Own::stop).await;
    let error = qicore_sinks::Kafka::from_config(impatient(&place))
        .open(&WriterId::new("p", "sink"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unavailable, RetryAdvice::Backoff),
        "{error}"
    );
    assert!(error.to_string().contains(&place.broker.brokers), "{error}");
    let (source, events) = market(2, 1000);
    let run = pipeline("p", source, qicore_sinks::Kafka::from_config(impatient(&place)))
        .build()
        .unwrap();
    let run = tokio::spawn(run.run());
    tokio::time::sleep(Duration::from_secs(2)).await;
    own.aside(Own::start).await;
    run.await.unwrap().unwrap();
    assert_same(&place.all().await, &events);
}
