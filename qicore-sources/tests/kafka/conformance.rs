//! The source keeps the contract of all sources.

use std::sync::Arc;

use qicore_data::{BatchLimit, FromStart, Source};
use qicore_sources::KafkaTopics;
use qicore_stream::testkit::conformance;

use super::{assert_same, config, filled, read, servers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let broker = servers::kafka().await;
    let (topic, _) = filled(&broker, 3, 300).await;
    conformance::source(|| Box::new(KafkaTopics::from_config(config(&broker, &topic, None)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_read_once() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 4, 500).await;
    assert_same(&read(config(&broker, &topic, None)).await, &events);
    let group = servers::unique("group");
    assert_same(&read(config(&broker, &topic, Some(&group))).await, &events);
    assert_same(&read(config(&broker, &topic, Some(&group))).await, &[]);
    let committed = broker.committed(&group, &topic).await;
    assert_eq!(committed, vec![Some(500); 4]);
}

/// Reads of a topic that has nothing end, and its lag is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_topic() {
    let broker = servers::kafka().await;
    let topic = broker.topic(3).await;
    assert_same(&read(config(&broker, &topic, None)).await, &[]);
    let mut source = KafkaTopics::from_config(config(&broker, &topic, Some(&servers::unique("group"))));
    source.open(Arc::new(FromStart)).await.unwrap();
    assert_eq!(source.next_batch(BatchLimit::default()).await.unwrap(), None);
    let progress = source.progress().unwrap();
    assert_eq!(Some(progress.done), progress.total, "{progress:?}");
    assert!(source.lag().iter().all(|(_, lag)| *lag == 0), "{:?}", source.lag());
    source.close().await.unwrap();
}
