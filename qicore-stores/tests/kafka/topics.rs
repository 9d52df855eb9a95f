//! Topics on a real broker: made where they are missing, and otherwise compared.

use std::time::{Duration, Instant};

use qicore_data::ErrorKind;
use qicore_stores::kafka::Connection;
use qicore_stores::kafka::admin::{self, Allowed, Applied, Change, Partitions, Planned, TopicSpec};

use crate::servers::{self, Kafka};

fn connection(kafka: &Kafka) -> Connection {
    Connection::brokers(kafka.brokers.as_str()).timeout(Duration::from_secs(30))
}

fn allowed(partitions: bool, settings: bool) -> Allowed {
    let mut allowed = Allowed::default();
    (allowed.partitions, allowed.settings) = (partitions, settings);
    allowed
}

fn told(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

async fn planned(kafka: &Kafka, spec: &TopicSpec) -> Planned {
    let mut topics = admin::plan(&connection(kafka), std::slice::from_ref(spec))
        .await
        .unwrap();
    topics.remove(0)
}

async fn applied(kafka: &Kafka, spec: &TopicSpec, allowed: Allowed) -> Applied {
    let applied = admin::apply(&connection(kafka), std::slice::from_ref(spec), allowed).await;
    applied.unwrap().remove(0)
}

fn compacted(partitions: i32) -> TopicSpec {
    TopicSpec::new(servers::unique("topic"), partitions)
        .setting("cleanup.policy", "compact")
        .setting("min.cleanable.dirty.ratio", "0.10")
}

#[tokio::test]
async fn what_is_missing_is_made_once() {
    let kafka = servers::kafka().await;
    let spec = compacted(3).replication(Some(1));
    let before = planned(&kafka, &spec).await;
    assert_eq!(
        (before.is_missing(), &before.changes[..]),
        (true, &[Change::Missing][..])
    );

    let made = applied(&kafka, &spec, Allowed::default()).await;
    assert_eq!((&made.done[..], made.now.changes.len()), (&[Change::Missing][..], 0));
    assert!(made.failed.is_none(), "{made:?}");
    // Clients see it by now.
    assert_eq!(kafka.ends(&spec.name).await, [0; 3]);
    let found = made.now.found.unwrap();
    assert_eq!((found.partitions(), found.replication()), (3, (1, 1)));
    let own: Vec<_> = found.own_settings().collect();
    assert!(own.contains(&("cleanup.policy", "compact")), "{own:?}");

    let again = applied(&kafka, &spec, allowed(true, true)).await;
    assert!(
        again.done.is_empty() && again.now.changes.is_empty() && again.failed.is_none(),
        "{again:?}"
    );
}

#[tokio::test]
async fn several_programs_make_the_same_topics() {
    let kafka = servers::kafka().await;
    let specs: Vec<_> = (1..=4).map(compacted).collect();
    let connection = connection(&kafka);
    let apply = || admin::apply(&connection, &specs, Allowed::default());
    let (one, two, three) = tokio::join!(apply(), apply(), admin::create(&connection, &specs));
    three.unwrap();
    for applied in one.unwrap().into_iter().chain(two.unwrap()) {
        assert!(
            applied.failed.is_none() && applied.now.changes.is_empty(),
            "{applied:?}"
        );
    }
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(admin::partitions(&connection, &names).await.unwrap(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn what_differs_is_told_and_left_alone() {
    let kafka = servers::kafka().await;
    let spec = compacted(4).replication(Some(2)).setting("no.such.setting", "1");
    let settings = [("cleanup.policy", "delete"), ("retention.ms", "3600000")];
    kafka.create(&spec.name, 2, &settings).await;
    let expected = [
        "partitions: 2 → 4",
        "replication: 1 → 2",
        "cleanup.policy: delete → compact",
        "min.cleanable.dirty.ratio: 0.5 → 0.10",
        "no.such.setting: unknown → 1",
    ];
    let before = planned(&kafka, &spec).await;
    assert_eq!(told(&before.changes), expected);

    let applied = applied(&kafka, &spec, Allowed::default()).await;
    assert!(applied.done.is_empty() && applied.failed.is_none(), "{applied:?}");
    assert_eq!(applied.now, before);
    assert_eq!(planned(&kafka, &spec).await, before);
}

#[tokio::test]
async fn what_differs_is_changed_where_it_is_allowed() {
    let kafka = servers::kafka().await;
    let spec = compacted(4).setting("no.such.setting", "1");
    let settings = [("cleanup.policy", "delete"), ("retention.ms", "3600000")];
    kafka.create(&spec.name, 2, &settings).await;

    let wider = applied(&kafka, &spec, allowed(true, false)).await;
    assert_eq!(told(&wider.done), ["partitions: 2 → 4"]);
    assert_eq!(wider.now.changes.len(), 3, "{wider:?}");
    assert_eq!(kafka.ends(&spec.name).await, [0; 4]);

    let other = applied(&kafka, &spec, allowed(false, true)).await;
    let expected = [
        "cleanup.policy: delete → compact",
        "min.cleanable.dirty.ratio: 0.5 → 0.10",
    ];
    assert_eq!(told(&other.done), expected, "{other:?}");
    assert!(other.failed.is_none(), "{other:?}");
    let left = ["no.such.setting: unknown → 1"];
    assert_eq!(told(&other.now.changes), left);
    let found = other.now.found.unwrap();
    assert_eq!(
        found.setting("retention.ms"),
        Some("3600000"),
        "what nobody spoke of stays"
    );

    // Fewer partitions than there are cannot be had.
    let narrow = applied(&kafka, &spec.partitions(Partitions::Exactly(2)), allowed(true, true)).await;
    assert_eq!(told(&narrow.now.changes)[0], "partitions: 4 → 2");
    assert!(narrow.done.is_empty() && narrow.failed.is_none(), "{narrow:?}");
}

#[tokio::test]
async fn what_the_broker_refuses_is_told_topic_by_topic() {
    let kafka = servers::kafka().await;
    let connection = connection(&kafka).timeout(Duration::from_secs(3));
    let (good, copies) = (compacted(1), compacted(1).replication(Some(3)));
    let policy = compacted(1).setting("cleanup.policy", "burn");
    let specs = [good, copies, policy.clone()];
    let applied = admin::apply(&connection, &specs, Allowed::default()).await.unwrap();
    let failures: Vec<_> = applied.iter().map(|topic| topic.failed.as_ref()).collect();
    assert!(failures[0].is_none(), "{failures:?}");
    assert_eq!(applied[0].done, [Change::Missing]);
    for (failure, expected) in failures[1..]
        .iter()
        .zip(["more copies of a partition than brokers", "cleanup.policy=burn"])
    {
        let failure = failure.unwrap();
        assert_eq!(failure.kind(), ErrorKind::Config, "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
    }

    // Of settings the driver does not tell why: they stay what they were.
    let spec = policy.partitions(Partitions::Exactly(1));
    kafka.create(&spec.name, 1, &[]).await;
    let applied = admin::apply(&connection, &[spec], allowed(false, true)).await.unwrap();
    let failure = applied[0].failed.as_ref().unwrap();
    assert_eq!(failure.kind(), ErrorKind::Rejected, "{failure}");
    assert!(failure.message().contains("cleanup.policy"), "{failure}");
    assert_eq!(applied[0].now.changes.len(), 2, "{applied:?}");
}

#[tokio::test]
async fn names_that_no_topic_can_have_are_not_asked_for() {
    let nobody = Connection::brokers("127.0.0.1:1").timeout(Duration::from_secs(60));
    for name in ["", ".", "..", "a b", "a/b", "ö", &"x".repeat(250)] {
        let refused = admin::plan(&nobody, &[TopicSpec::new(name, 1)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config, "{name}: {refused}");
    }
    for spec in [TopicSpec::new("x", 0), TopicSpec::new("x", 1).replication(Some(0))] {
        let refused = admin::apply(&nobody, &[spec], Allowed::default()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config, "{refused}");
    }
    let twice = [TopicSpec::new("x", 1), TopicSpec::new("x", 2)];
    let refused = admin::plan(&nobody, &twice).await.unwrap_err();
    assert!(refused.message().contains("two different things"), "{refused}");
}

#[tokio::test]
async fn brokers_that_do_not_answer_are_told_in_time() {
    let began = Instant::now();
    let nobody = Connection::brokers("127.0.0.1:1").timeout(Duration::from_secs(2));
    let failed = admin::plan(&nobody, &[TopicSpec::new("x", 1)]).await.unwrap_err();
    assert!(
        matches!(failed.kind(), ErrorKind::Unavailable | ErrorKind::Timeout),
        "{failed}"
    );
    assert!(failed.to_string().contains("127.0.0.1:1"), "{failed}");
    assert!(failed.to_string().contains("refused"), "{failed}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[cfg(feature = "kafka-ssl")]
#[tokio::test]
async fn who_may_not_is_told_so() {
    use qicore_data::Secret;
    use qicore_stores::kafka::SaslMechanism;

    let own = tokio::task::spawn_blocking(|| servers::Own::kafka("")).await.unwrap();
    let by = |user: &str, password: &str| {
        Connection::brokers(format!("127.0.0.1:{}", own.ssl_port()))
            .timeout(Duration::from_secs(5))
            .tls(true)
            .tls_ca(own.authority())
            .user(user, Secret::new(password), SaslMechanism::Plain)
    };
    let spec = [compacted(1)];
    let made = admin::apply(&by("admin", &own.password("admin")), &spec, Allowed::default()).await;
    assert!(made.unwrap()[0].failed.is_none());
    let strangers = [by("guest", &own.password("guest")), by("admin", "wrong")];
    for stranger in strangers {
        for specs in [&spec[..], &[compacted(1)]] {
            let refused = admin::plan(&stranger, specs).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unauthorized, "{refused}");
            let refused = admin::apply(&stranger, specs, allowed(true, true)).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unauthorized, "{refused}");
        }
    }
}
