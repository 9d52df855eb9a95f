//! What is not there, and who may not.

use qicore_data::{ErrorKind, RetryAdvice, Sink, WriterId};
use qicore_stream::testkit::trades;

use super::{Place, assert_done, delivery, held, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_is_named() {
    let place = Place::new().await;
    let mut config = place.config();
    config.topics = config.topics.with(qicore_data::EventType::Trade, "no-such-topic");
    let error = qicore_sinks::Kafka::from_config(config)
        .open(&WriterId::new("p", "s"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Schema, RetryAdvice::Never),
        "{error}"
    );
    let told = error.to_string();
    assert!(
        told.contains("no-such-topic") && told.contains("qicore topics apply"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_deleted_at_work() {
    let place = Place::new().await;
    let sink = open(&place, "p").await;
    assert_eq!(held(&sink, "l").await, 0);
    assert_done(&sink.write(&delivery("l", 0, trades(0..10))).await.unwrap());
    place.broker.delete(&place.topic).await;
    let error = loop {
        // The client may believe for a moment that it is there.
        match sink.write(&delivery("l", 10, trades(10..20))).await {
            Err(error) if error.retry() == RetryAdvice::Never => break error,
            Err(_) => {}
            Ok(_) => panic!("written to a topic that is gone"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
}

#[cfg(feature = "kafka-ssl")]
mod secured {
    use qicore_data::{ErrorKind, RetryAdvice, Secret, Sink, WriterId};
    use qicore_sinks::Kafka;
    use qicore_stores::kafka::{Connection, SaslMechanism};
    use qicore_stream::testkit::trades;

    use crate::{Place, assert_done, assert_same, delivery, held, servers::Own};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn users_and_rights() {
        let own = tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap();
        let place = Place::on(own.broker(), &[]).await;
        let sink = |user: &str, password: &str| {
            let mut config = place.config();
            config.connection = Connection::brokers(format!("127.0.0.1:{}", own.ssl_port()))
                .tls(true)
                .tls_ca(own.authority())
                .user(user, Secret::new(password), SaslMechanism::Plain);
            Kafka::from_config(config)
        };
        let admin = sink("admin", &own.password("admin"));
        admin.open(&WriterId::new("p", "s")).await.unwrap();
        assert_eq!(held(&admin, "l").await, 0);
        assert_done(&admin.write(&delivery("l", 0, trades(0..10))).await.unwrap());
        assert_same(&place.all().await, &trades(0..10));

        for (user, password) in [("guest", own.password("guest")), ("admin", "wrong-password".to_owned())] {
            let error = sink(user, &password).open(&WriterId::new("p", "s")).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Unauthorized, RetryAdvice::Never),
                "{error}"
            );
            assert!(!format!("{error:?}").contains(&password), "{error:?}");
        }
    }
}
