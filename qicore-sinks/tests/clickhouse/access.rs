//! Who is let in: what is refused is told at once, by name, and without the password.

use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{BatchLimit, Error, ErrorKind, EventType, RetryAdvice, Secret, Sink, WriterId};
use qicore_stores::clickhouse::{Connection, Selection, Store, Tables};
use qicore_stream::testkit::trades;

use crate::common::log::Log;
use crate::servers::{self, Own};
use crate::{assert_done, delivery, held, same};

const PASSWORD: &str = "hunter2-s3cr3t";

/// A server with users: one who may do anything, one who may only read, those whose answers are cut or limited, and one
/// with a quota of few inserts.
fn guarded() -> (Own, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let users = format!(
        "<clickhouse><profiles><default/><reader><readonly>1</readonly></reader>
           <partly><max_rows_to_read>5</max_rows_to_read><read_overflow_mode>break</read_overflow_mode></partly>
           <limited><limit>5</limit></limited><behind><offset>1</offset></behind><strict><max_rows_to_read>5</max_rows_to_read></strict></profiles>
         <users>
           <default><password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default>
           <ingest><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></ingest>
           <reader><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>reader</profile><quota>default</quota></reader>
           <partly><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>partly</profile><quota>default</quota></partly>
           <limited><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>limited</profile><quota>default</quota></limited>
           <behind><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>behind</profile><quota>default</quota></behind>
           <strict><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>strict</profile><quota>default</quota></strict>
           <few><password>{PASSWORD}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>few</quota></few>
         </users>
         <quotas><default/><few><interval><duration>3</duration><query_inserts>2</query_inserts></interval></few></quotas></clickhouse>"
    );
    let users_file = folder.path().join("users.xml");
    std::fs::write(&users_file, users).unwrap();
    let config = format!(
        "<clickhouse><users_config>{}</users_config></clickhouse>",
        users_file.display()
    );
    let config_file: PathBuf = folder.path().join("config.xml");
    std::fs::write(&config_file, config).unwrap();
    (Own::clickhouse(config_file.to_str().unwrap()), folder)
}

/// Gives the error of a pipeline with such a connection.
async fn refused(connection: Connection) -> Error {
    let sink = qicore_sinks::Clickhouse::new(connection).tables(Tables::in_database("guarded"));
    crate::common::log::refused(sink, PASSWORD).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_passwords_and_quotas() {
    let (server, _folder) = guarded();
    let with = |user: &str, password: &str| Connection::url(server.url()).user(user, Secret::new(password));
    // In the URL, too, but with a character that the URL has another meaning for.
    let (_, host) = server.url().split_once("//").unwrap();
    for wrong in [
        with("ingest", &format!("{PASSWORD}!")),
        with("nobody", PASSWORD),
        Connection::url(format!("http://ingest:{PASSWORD}%21@{host}")),
    ] {
        let error = refused(wrong).await;
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unauthorized, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("connection.user"), "{error}");
    }
    let place = servers::Clickhouse::new(server.url(), "guarded");
    for right in [
        with("ingest", PASSWORD),
        Connection::url(format!("http://ingest:{PASSWORD}@{host}")),
    ] {
        let log = Log::default();
        let listening = log.listen();
        let sink = qicore_sinks::Clickhouse::new(right).tables(place.tables());
        sink.open(&WriterId::new(format!("{sink:?}").len().to_string(), "s"))
            .await
            .unwrap();
        assert_eq!(held(&sink, "l").await, 0);
        assert_done(&sink.write(&delivery("l", 0, trades(0..10))).await.unwrap());
        drop(listening);
        assert!(!log.text().contains(PASSWORD), "{}", log.text());
    }
    same(&place.all().await, &trades(0..10));
    // Who may only read is told so.
    let sink = qicore_sinks::Clickhouse::new(with("reader", PASSWORD)).tables(place.tables());
    let opened = sink.open(&WriterId::new("r", "s")).await;
    let written = match opened {
        Ok(()) => match sink.checkpoint(&qicore_data::Lane::new("l")).await {
            Ok(_) => sink.write(&delivery("l", 0, trades(10..20))).await.map(|_| ()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let error = written.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unauthorized, RetryAdvice::Never),
        "{error}"
    );
    // A quota that is used up is waited for: two inserts in three seconds, of which each delivery makes two.
    let sink = qicore_sinks::Clickhouse::new(with("few", PASSWORD)).tables(place.tables());
    let source = qicore_stream::testkit::Scripted::lanes([("lane", trades(0..300))], 100);
    let run = crate::pipeline("few", source, sink).build().unwrap().start();
    let summary = tokio::time::timeout(Duration::from_secs(60), run.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(
        summary.stats.sinks[0].failures > 0,
        "the quota was not used up: {:?}",
        summary.stats
    );
    same(&place.all().await, &trades(0..300));
}

/// Half of the rows as if they were all would have a lane begin anew, or a copy end early.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_cuts_answers_is_refused() {
    let (server, _folder) = guarded();
    let with = |user: &str| Connection::url(server.url()).user(user, Secret::new(PASSWORD));
    let place = servers::Clickhouse::new(server.url(), "guarded");
    let sink = qicore_sinks::Clickhouse::new(with("ingest")).tables(place.tables());
    sink.open(&WriterId::new("p", "s")).await.unwrap();
    assert_eq!(held(&sink, "l").await, 0);
    assert_done(&sink.write(&delivery("l", 0, trades(0..10))).await.unwrap());
    for (user, setting) in [
        ("partly", "read_overflow_mode"),
        ("limited", "limit"),
        ("behind", "offset"),
    ] {
        let store = Store::new(&with(user), &place.tables()).unwrap();
        let errors = [
            refused(with(user)).await,
            store.check().await.unwrap_err(),
            store.latest_prices().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::Config, RetryAdvice::Never),
                "{error}"
            );
            assert!(error.to_string().contains(setting), "{error}");
        }
    }
    // One that is told that it asked for too much is not kept waiting.
    let store = Store::new(&with("strict"), &place.tables()).unwrap();
    let selection = Selection::of(EventType::Trade);
    let reading = store.read(&selection, None, BatchLimit::default()).unwrap();
    let error = reading.all().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Config, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("max_rows_to_read"), "{error}");
}

#[tokio::test]
async fn replicas_of_tables_that_are_not_replicated_are_refused() {
    let place = servers::clickhouse();
    let two = place.connection().replica("http://127.0.0.1:1");
    let sink = qicore_sinks::Clickhouse::new(two).tables(place.tables());
    let error = sink.open(&WriterId::new("p", "s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("tables.replicated"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_tells_no_password() {
    let log = Log::default();
    let listening = log.listen();
    let connection = Connection::url("http://127.0.0.1:1").user("u", Secret::new(PASSWORD));
    let sink = qicore_sinks::Clickhouse::new(connection);
    let error = sink.open(&WriterId::new("p", "s")).await.unwrap_err();
    drop(listening);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let all = format!("{error} {error:?} {sink:?} {}", log.text());
    assert!(!all.contains(PASSWORD), "{all}");
}
