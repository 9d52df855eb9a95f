//! The source keeps the contract of all sources.

use std::sync::Arc;

use qicore_data::{BatchLimit, FromStart, Source};
use qicore_sources::KafkaTopics;
use qicore_stream::testkit::{conformance, trades};

use super::{assert_same, config, filled, read, servers, write};

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

/// It ends with what there was when it began, and somewhat more, however much comes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_written_has_an_end() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 2, 300).await;
    let (mut written, mut next) = (Vec::new(), 100_000);
    let run = tokio::spawn(read(config(&broker, &topic, None)));
    while !run.is_finished() {
        for partition in 0..2 {
            let more = trades(next..next + 300);
            write(&broker, &topic, partition, &more).await;
            written.extend(more);
            next += 300;
        }
        assert!(written.len() < 200_000, "it goes on and on");
    }
    let found = run.await.unwrap();
    let (old, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|event| events.contains(event));
    assert_same(&old, &events);
    assert!(new.iter().all(|event| written.contains(event)));
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
