//! Brokers that are killed or away, topics that are deleted.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{ErrorKind, FromStart, RetryAdvice, Source};
use qicore_sinks::Memory;
use qicore_sources::{KafkaTopics, Until};
use qicore_stream::testkit::trades;

use super::{assert_same, config, filled, pipeline, servers, until, write};
use servers::Own;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_killed_at_work() {
    let own = Arc::new(tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap());
    let broker = own.broker();
    let (topic, mut events) = filled(&broker, 3, 400).await;
    for group in [None, Some("workers")] {
        let mut source = config(&broker, &topic, group);
        source.until = Until::Never;
        let memory = Memory::new();
        let run = pipeline("p", source, memory.clone()).build().unwrap().start();
        until("it has begun", async || memory.events().len() >= 400).await;
        own.restart().await;
        let from = 500_000 + events.len() as u64;
        let more = trades(from..from + 100);
        write(&broker, &topic, 1, &more).await;
        events.extend(more);
        until("the rest is read", async || memory.events().len() >= events.len()).await;
        run.stop();
        run.wait().await.unwrap();
        assert_same(&memory.events(), &events);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_told() {
    let broker = servers::Kafka::new("127.0.0.1:9");
    let mut source = config(&broker, "topic", Some("group"));
    source.connection = source.connection.timeout(Duration::from_secs(1));
    let error = KafkaTopics::from_config(source)
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert_eq!(error.retry(), RetryAdvice::Backoff, "{error}");
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_is_named() {
    let broker = servers::kafka().await;
    let error = KafkaTopics::from_config(config(&broker, "no-such-topic", None))
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Schema, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-topic"), "{error}");
}

/// The run ends with an error that says so; what was read is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_deleted_at_work() {
    let broker = servers::kafka().await;
    let (topic, events) = filled(&broker, 2, 50).await;
    let mut source = config(&broker, &topic, Some(&servers::unique("group")));
    source.until = Until::Never;
    source.connection = source.connection.property("topic.metadata.refresh.interval.ms", "500");
    let memory = Memory::new();
    let run = tokio::spawn(pipeline("p", source, memory.clone()).build().unwrap().run());
    until("all is read", async || memory.events().len() == events.len()).await;
    broker.delete(&topic).await;
    let error = tokio::time::timeout(Duration::from_secs(60), run)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    assert_same(&memory.events(), &events);
}

/// Rights are told, of topics and of groups, and not tried for again and again.
#[cfg(feature = "kafka-ssl")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_told() {
    use qicore_data::Secret;
    use qicore_stores::kafka::{Connection, SaslMechanism};
    use servers::{Operation::*, Resource};
    let own = tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap();
    let broker = own.broker();
    let (topic, events) = filled(&broker, 1, 20).await;
    broker.allow("guest", Resource::Topic, &topic, &[Describe]);
    let read = async |group: Option<&str>| {
        let mut source = config(&broker, &topic, group);
        source.connection = Connection::brokers(format!("127.0.0.1:{}", own.ssl_port()))
            .tls(true)
            .tls_ca(own.authority())
            .user("guest", Secret::new(own.password("guest")), SaslMechanism::Plain);
        let memory = Memory::new();
        let run = pipeline("p", source, memory.clone()).build().unwrap().run();
        let done = tokio::time::timeout(Duration::from_secs(60), run)
            .await
            .expect("an end");
        done.map(|_| memory.events())
    };
    let missing = async |group: Option<&str>| {
        let error = read(group).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unauthorized, RetryAdvice::Never),
            "{error}"
        );
        assert!(!format!("{error:?}").contains(&own.password("guest")), "{error:?}");
    };
    missing(None).await;
    missing(Some("group")).await;
    broker.allow("guest", Resource::Topic, &topic, &[Read]);
    missing(Some("group")).await;
    assert_same(&read(None).await.unwrap(), &events);
    broker.allow("guest", Resource::Group, "group", &[Read, Describe]);
    assert_same(&read(Some("group")).await.unwrap(), &events);
}
