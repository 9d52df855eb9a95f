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
    use qicore_sinks::{Kafka, KafkaConfig};
    use qicore_stores::kafka::{Connection, SaslMechanism};
    use qicore_stream::testkit::trades;

    use crate::{Place, assert_done, assert_same, delivery, held, servers::Own};

    /// A sink of a user at the broker's other listener.
    fn sink(own: &Own, place: &Place, user: &str, password: &str) -> Kafka {
        Kafka::from_config(config(own, place, user, password))
    }

    fn config(own: &Own, place: &Place, user: &str, password: &str) -> KafkaConfig {
        let mut config = place.config();
        config.connection = Connection::brokers(format!("127.0.0.1:{}", own.ssl_port()))
            .tls(true)
            .tls_ca(own.authority())
            .user(user, Secret::new(password), SaslMechanism::Plain);
        config
    }

    async fn own() -> Own {
        tokio::task::spawn_blocking(|| Own::kafka("")).await.unwrap()
    }

    /// A user who may look at everything, and write checkpoints, but no rows: it is told, in transactions too, where messages that
    /// were not sent are all that is left of it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_right_that_is_missing_is_told() {
        use crate::servers::{Operation::*, Resource};
        let own = own().await;
        let place = Place::on(own.broker(), &[]).await;
        place.broker.create(&place.checkpoints, 8, &[]).await;
        let look = [Describe, DescribeConfigs];
        place.broker.allow("guest", Resource::Topic, &place.topic, &look);
        place.broker.allow(
            "guest",
            Resource::Topic,
            &place.checkpoints,
            &[Describe, DescribeConfigs, Read, Write],
        );
        place
            .broker
            .allow("guest", Resource::TransactionalId, "*", &[Describe, Write]);
        let rows = delivery("l", 0, trades(0..10));
        for transactions in [true, false] {
            let mut config = config(&own, &place, "guest", &own.password("guest"));
            config.transactions = transactions;
            let guest = Kafka::from_config(config);
            guest.open(&WriterId::new("p", "s")).await.unwrap();
            assert_eq!(held(&guest, "l").await, 0);
            let error = guest.write(&rows).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Unauthorized, RetryAdvice::Never),
                "{error}"
            );
        }
        assert_same(&place.all().await, &[]);
        place.broker.allow("guest", Resource::Topic, &place.topic, &[Write]);
        let guest = sink(&own, &place, "guest", &own.password("guest"));
        guest.open(&WriterId::new("p", "s")).await.unwrap();
        assert_eq!(held(&guest, "l").await, 0);
        assert_done(&guest.write(&rows).await.unwrap());
        assert_same(&place.all().await, &trades(0..10));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn users_and_rights() {
        let own = own().await;
        let place = Place::on(own.broker(), &[]).await;
        let sink = |user: &str, password: &str| sink(&own, &place, user, password);
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
