//! Rows that a topic does not take: none of the others is lost with them.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Checkpoint, Delivery, ErrorKind, Event, Lane, Position, RetryAdvice, Sink, Timestamp};
use qicore_sinks::Kafka;
use qicore_stream::testkit::trades;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::conformance::{incompressible, large};
use super::{Place, assert_done, assert_same, delivery, held, open, servers};

/// Places that a receipt names.
fn refused(receipt: &qicore_data::Receipt) -> Vec<usize> {
    receipt.rejected.iter().map(|row| row.index).collect()
}

/// The topic takes less than it did when the sink asked: the broker refuses whole batches.
async fn narrow(place: &Place) {
    let admin: AdminClient<DefaultClientContext> = place.broker.config().create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(&place.topic)).set("max.message.bytes", "3000");
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(20)));
    for done in admin.alter_configs([&change], &options).await.unwrap() {
        done.unwrap();
    }
}

/// 300 rows, two of which the broker refuses.
fn mixed() -> (Vec<Event>, Vec<Event>) {
    let sound = trades(0..300);
    let mut events = sound.clone();
    events.insert(40, large(4000));
    events.insert(200, large(4000));
    (events, sound)
}

/// Batches that are sent message by message are as large as they seem.
fn uncompressed(place: &Place) -> qicore_sinks::KafkaConfig {
    let mut config = place.config();
    config.compression = qicore_stores::kafka::Compression::None;
    config.linger = Duration::ZERO;
    config
}

/// Batches are made smaller with each try.
async fn flush(sink: &Kafka) {
    while let Err(error) = sink.flush(&Lane::new("l")).await {
        assert_eq!(error.retry(), RetryAdvice::Backoff, "{error}");
    }
}

async fn one_by_one(sink: &Kafka, place: &Place) {
    let (events, sound) = mixed();
    let delivery = delivery("l", 0, events);
    let receipt = sink.write(&delivery).await.unwrap();
    assert_eq!(refused(&receipt), [40, 200]);
    assert!(
        receipt.rejected[0].error.to_string().contains("large"),
        "{}",
        receipt.rejected[0].error
    );
    if receipt.staged {
        assert_same(&place.all().await, &[]);
        flush(sink).await;
    }
    assert_same(&place.all().await, &sound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_broker_refuses_are_found() {
    let place = Place::new().await;
    let sink = Kafka::from_config(uncompressed(&place));
    sink.open(&qicore_data::WriterId::new("p", "sink")).await.unwrap();
    narrow(&place).await;
    assert_eq!(held(&sink, "l").await, 0);
    one_by_one(&sink, &place).await;
    assert_eq!(held(&sink, "l").await, 302);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_broker_refuses_are_found_without_transactions() {
    let place = Place::new().await;
    let mut config = uncompressed(&place);
    config.transactions = false;
    let sink = Kafka::from_config(config);
    sink.open(&qicore_data::WriterId::new("p", "sink")).await.unwrap();
    narrow(&place).await;
    one_by_one(&sink, &place).await;
}

/// The broker has refused the first row long before the last one is sent, and many more after it: a transaction that has
/// failed takes no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_found_while_others_are_being_sent() {
    let place = Place::new().await;
    let sink = Kafka::from_config(uncompressed(&place));
    sink.open(&qicore_data::WriterId::new("p", "sink")).await.unwrap();
    narrow(&place).await;
    assert_eq!(held(&sink, "l").await, 0);
    let sound = trades(0..5000);
    let mut events = vec![large(4000)];
    for some in sound.chunks(50) {
        events.extend_from_slice(some);
        events.push(large(4000));
    }
    let places: Vec<_> = (0..events.len()).step_by(51).collect();
    assert_eq!(places.len(), 101);
    let receipt = sink.write(&delivery("l", 0, events)).await.unwrap();
    assert_eq!(refused(&receipt), places);
    flush(&sink).await;
    assert_same(&place.all().await, &sound);
}

/// A broker does not take messages from the far future.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_tomorrow_is_refused() {
    let place = Place::on(servers::kafka().await, &[("message.timestamp.after.max.ms", "60000")]).await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let mut events = trades(0..3);
    events[1].timestamp = Timestamp::from_nanos(Timestamp::now().nanos() + 120_000_000_000);
    let receipt = sink.write(&delivery("l", 0, events.clone())).await.unwrap();
    assert_eq!(refused(&receipt), [1]);
    assert!(
        receipt.rejected[0].error.message().contains("ahead"),
        "{}",
        receipt.rejected[0].error
    );
    sink.flush(&Lane::new("l")).await.unwrap();
    events.remove(1);
    assert_same(&place.all().await, &events);
}

/// Kafka removes by the messages' times: history that is written today is not to be gone tomorrow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rows_outlive_the_topics_retention() {
    let settings = [("retention.ms", "600000"), ("segment.ms", "1000")];
    let place = Place::on(servers::kafka().await, &settings).await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let mut events = trades(0..50);
    let recent = Timestamp::from_nanos(Timestamp::now().nanos() - 1_000_000_000);
    events[7].timestamp = recent;
    assert_done(&sink.write(&delivery("l", 0, events.clone())).await.unwrap());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_same(&place.all().await, &events);
    let records = place.broker.read(&place.topic).await;
    let of_event = records
        .iter()
        .filter(|record| record.timestamp == Some(recent.nanos() / 1_000_000));
    assert_eq!(of_event.count(), 1, "what is not too old has the event's time");
}

/// A delivery without a checkpoint waits for the one that brings it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_for_their_checkpoint() {
    let place = Place::on(servers::kafka().await, &[("max.message.bytes", "5000")]).await;
    let sink = open(&place, "p").await;
    held(&sink, "l").await;
    let mut first = trades(0..10);
    first.insert(5, large(9000));
    let receipt = sink.write(&Delivery::of(Lane::new("l"), 0, 11, first)).await.unwrap();
    assert!(receipt.staged);
    assert_eq!(refused(&receipt), [5]);
    assert_same(&place.all().await, &[]);
    let receipt = sink.write(&delivery("l", 11, trades(10..20))).await.unwrap();
    assert!(!receipt.staged && receipt.rejected.is_empty());
    assert_same(&place.all().await, &trades(0..20));
}

/// What a broker does not take of a checkpoint is not counted as written, and the rows are not lost with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_checkpoint_is_told() {
    let place = Place::new().await;
    place
        .broker
        .create(&place.checkpoints, 8, &[("max.message.bytes", "2000")])
        .await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    for rows in [0, 10] {
        let mut delivery = delivery("l", 0, trades(0..rows));
        let mut checkpoint = Checkpoint::new(Lane::new("l"), Position::at(rows.max(1)));
        checkpoint.state.push(qicore_data::Snapshot {
            stage: "0:dedupe".into(),
            state: incompressible(5000).into(),
        });
        delivery.checkpoint = Some(Arc::new(checkpoint));
        let error = sink.write(&delivery).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Rejected, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("checkpoint"), "{error}");
        assert_same(&place.all().await, &[]);
    }
    assert_eq!(held(&sink, "l").await, 0);
}

/// The state of a lane may be larger than any message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_checkpoint_comes_back() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    let lane = Lane::new("l");
    assert_eq!(held(&sink, "l").await, 0);
    let mut last = None;
    for (number, bytes) in [3_000_000, 10, 2_000_000, 700_000].into_iter().enumerate() {
        let after = 10 * number as u64;
        let mut delivery = delivery("l", after, trades(after..after + 10));
        let mut checkpoint = Checkpoint::new(lane.clone(), Position::at(after + 10));
        checkpoint.state.push(qicore_data::Snapshot {
            stage: "0:dedupe".into(),
            state: (0..bytes)
                .map(|at| char::from(b'a' + (at % 23) as u8))
                .collect::<String>()
                .into(),
        });
        delivery.checkpoint = Some(Arc::new(checkpoint.clone()));
        assert_done(&sink.write(&delivery).await.unwrap());
        last = Some(checkpoint);
        let again = open(&place, "p").await;
        assert_eq!(again.checkpoint(&lane).await.unwrap(), last, "{bytes} bytes");
        assert_eq!(sink.checkpoint(&lane).await.unwrap(), last);
    }
    let other = open(&place, "another pipeline").await;
    assert_eq!(other.checkpoint(&lane).await.unwrap(), None);
    assert!(last.is_some());
}
