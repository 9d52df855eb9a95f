//! Kafka on a real broker.

#[path = "../servers/mod.rs"]
mod servers;
mod topics;

use std::sync::Arc;

use servers::{Own, Record};

fn records() -> Vec<Record> {
    let record = |number: i32| Record {
        headers: vec![("kind".to_owned(), Some(b"trade".to_vec())), ("empty".to_owned(), None)],
        timestamp: Some(1_700_000_000_000 + i64::from(number)),
        partition: number % 3,
        offset: i64::from(number / 3),
        ..Record::new(&format!("key {number}"), &format!("payload {number}"))
    };
    (0..300).map(record).collect()
}

#[tokio::test]
async fn records_are_there_after_a_kill() {
    let own = Arc::new(tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap());
    let kafka = own.broker();
    let (topic, sent) = (kafka.topic(3).await, records());
    let places = kafka.produce(&topic, &sent).await;
    let expected: Vec<_> = sent.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(places, expected);
    let before = kafka.read(&topic).await;
    let mut sorted = sent;
    sorted.sort_by_key(|record| (record.partition, record.offset));
    assert_eq!(before, sorted);

    own.restart().await;
    assert_eq!(kafka.read(&topic).await, before);
    assert_eq!(kafka.read_uncommitted(&topic).await, before);
    assert_eq!(kafka.ends(&topic).await, [100, 100, 100]);
}

#[tokio::test]
async fn records_and_topics_go_when_they_are_deleted() {
    let kafka = servers::kafka().await;
    let topic = kafka.topic(3).await;
    kafka.produce(&topic, &records()).await;
    kafka.delete_records(&topic, 1, 60).await;
    assert_eq!(kafka.watermarks(&topic).await, [(0, 100), (60, 100), (0, 100)]);
    assert_eq!(kafka.read(&topic).await.len(), 240);
    assert_eq!(kafka.committed("nobody", &topic).await, [None; 3]);
    kafka.delete(&topic).await;
    kafka.create(&topic, 1, &[("retention.ms", "1000")]).await;
    assert_eq!(kafka.read(&topic).await, []);
}

#[cfg(feature = "kafka-ssl")]
#[tokio::test]
async fn a_guest_may_do_nothing() {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode};

    let own = tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap();
    let (admin, guest) = (own.broker_as("admin"), own.broker_as("guest"));
    let topic = admin.topic(1).await;
    let sent = [Record::new("key", "payload")];
    assert_eq!(admin.produce(&topic, &sent).await, [(0, 0)]);
    assert_eq!(admin.read(&topic).await.len(), 1);

    let refused = guest.try_produce(&topic, &sent).await.unwrap_err();
    let code = refused.rdkafka_error_code().unwrap();
    assert!(code.to_string().contains("authorization"), "{refused}");
    assert!(matches!(
        guest.try_create("another", 1, &[]).await,
        Err(KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed))
    ));
    assert_eq!(admin.ends(&topic).await, [1]);

    let stranger = admin.with("sasl.password", "wrong").with("message.timeout.ms", "3000");
    assert!(stranger.try_produce(&topic, &sent).await.is_err());
}
