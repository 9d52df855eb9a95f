//! Who is let in: what is refused is told at once, by name, and without the password.

use std::path::Path;
use std::time::Duration;

use qicore_data::{Error, ErrorKind, RetryAdvice, Secret, Sink, WriterId};
use qicore_sinks::Timescale;
use qicore_stores::timescale::{Connection, TlsMode};

use crate::common::log::Log;
use crate::servers::{self, Database, Own};
use crate::{assert_same, market, put};

const PASSWORD: &str = "hunter2-s3cr3t";

/// Gives the error of a pipeline with such a connection.
async fn refused(connection: Connection) -> Error {
    crate::common::log::refused(Timescale::new(connection), PASSWORD).await
}

fn by_parts(place: &Database, user: &str, database: &str) -> Connection {
    let mut connection = Connection::default().password(Secret::new(PASSWORD));
    connection.host = Some("127.0.0.1".into());
    connection.port = Some(place.port());
    connection.user = Some(user.into());
    connection.database = Some(database.into());
    connection
}

#[tokio::test]
async fn a_wrong_password() {
    let place = servers::postgres().await;
    let url = place.as_role("postgres", PASSWORD).url;
    for connection in [
        Connection::url(url),
        by_parts(&place, "postgres", "postgres"),
        by_parts(&place, "nobody", "x"),
    ] {
        let error = refused(connection).await;
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unauthorized, RetryAdvice::Never),
            "{error}"
        );
        assert!(
            error.to_string().contains("password") && error.to_string().contains("28P01"),
            "{error}"
        );
    }
}

/// A login of one's own, with the password, that may make schemas in its database or not.
async fn login(place: &Database, may: &str) -> Database {
    let role = servers::unique("login");
    let name = place.value::<String>("SELECT current_database()::text").await;
    place
        .sql(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"))
        .await;
    if !may.is_empty() {
        place.sql(&format!("GRANT {may} ON DATABASE {name} TO {role}")).await;
    }
    place.as_role(&role, PASSWORD)
}

#[tokio::test]
async fn a_missing_database_or_privilege() {
    let place = servers::postgres().await;
    let known = login(&place, "").await;
    let (server, _) = known.url.rsplit_once('/').unwrap();
    let absent = format!("{server}/no_such_database");
    let error = refused(Connection::url(absent)).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Config, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("does not exist"), "{error}");
    // PostgreSQL 15 gives nobody the schema public.
    let error = refused(known.connection()).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unauthorized, RetryAdvice::Never),
        "{error}"
    );
    assert!(
        error.to_string().contains("permission denied") && error.to_string().contains("--roles"),
        "{error}"
    );
}

#[tokio::test]
async fn other_failures_tell_no_password_either() {
    let place = servers::postgres().await;
    let known = login(&place, "CREATE").await;
    // A server that is not there.
    let mut away = known.at_port(1).connection();
    away.connect_timeout = Duration::from_millis(100);
    let log = Log::default();
    let listening = log.listen();
    let error = Timescale::new(away).open(&WriterId::new("p", "s")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // A row that is refused, and a schema that is not there any more.
    let own = Database::in_schema(&known.url, "own");
    put(&own, "p", market(1, 10).1).await;
    own.sql("ALTER TABLE trades ADD CONSTRAINT never CHECK (price < 0) NOT VALID")
        .await;
    let sink = crate::open(&own, "p").await;
    assert_eq!(crate::held(&sink, "l").await, 0);
    let receipt = sink.write(&crate::delivery("l", 0, market(2, 20).1)).await.unwrap();
    assert!(!receipt.rejected.is_empty());
    own.sql("DROP SCHEMA own CASCADE").await;
    let gone = sink.flush(&qicore_data::Lane::new("l")).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Schema, "{gone}");
    drop(listening);
    let all = format!("{error:?} {receipt:?} {gone:?} {sink:?} {}", log.text());
    assert!(!all.contains(PASSWORD), "{all}");
}

fn tls(server: &Own, mode: TlsMode, authority: &Path) -> Connection {
    Connection::url(server.url()).tls(mode).tls_ca(authority)
}

#[tokio::test]
async fn certificates() {
    let (server, other) = (Own::postgres(""), Own::postgres(""));
    // The server's own authority, for this very host, and in the weaker modes.
    for mode in [TlsMode::VerifyFull, TlsMode::VerifyCa, TlsMode::Require] {
        let connection = tls(&server, mode, &server.authority());
        let sink = Timescale::new(connection).schema(servers::unique("tls"));
        sink.open(&WriterId::new("p", "s")).await.unwrap();
        sink.close().await.unwrap();
    }
    // One that has signed another server's certificate, and Mozilla's, who have signed neither.
    let unknown = [
        tls(&server, TlsMode::VerifyFull, &other.authority()),
        tls(&server, TlsMode::VerifyCa, &other.authority()),
        Connection::url(server.url()).tls(TlsMode::VerifyFull),
    ];
    for connection in unknown {
        let error = refused(connection).await;
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Unauthorized, RetryAdvice::Never),
            "{error}"
        );
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    // A file that is not there.
    let error = refused(tls(&server, TlsMode::VerifyFull, Path::new("no-such-authority.pem"))).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Config, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-authority.pem"), "{error}");
    assert_same(&server.database().all().await, &[]);
}

#[tokio::test]
async fn a_server_without_encryption_where_it_is_asked_for() {
    let server = Own::postgres("-c ssl=off");
    let error = refused(Connection::url(server.url()).tls(TlsMode::Require)).await;
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Unauthorized, RetryAdvice::Never),
        "{error}"
    );
    assert!(error.to_string().contains("TLS"), "{error}");
}
