//! Real servers for tests, of several crates by `#[path]`.
//!
//! The tests of a binary share one server of each kind, which is started when the first of them asks, and which ends
//! with the binary. `QICORE_POSTGRES_URL`, `QICORE_TIMESCALE_URL`, `QICORE_CLICKHOUSE_URL` and `QICORE_KAFKA_BROKERS`
//! name servers to be used instead.

// Each binary uses a part of it.
#![allow(dead_code, unused_imports)]

#[cfg(feature = "kafka")]
mod acl;
#[cfg(feature = "clickhouse")]
mod clickhouse;
#[cfg(feature = "timescale")]
mod database;
#[cfg(feature = "kafka")]
mod kafka;
mod own;

#[cfg(feature = "kafka")]
pub(crate) use acl::{Operation, Resource};
#[cfg(feature = "clickhouse")]
pub(crate) use clickhouse::Clickhouse;
#[cfg(feature = "timescale")]
pub(crate) use database::Database;
#[cfg(feature = "kafka")]
pub(crate) use kafka::{Kafka, Record};
pub(crate) use own::Own;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A fresh database of the shared ClickHouse server; made when its schema is.
#[cfg(feature = "clickhouse")]
pub(crate) fn clickhouse() -> Clickhouse {
    static SERVER: OnceLock<String> = OnceLock::new();
    let server = SERVER.get_or_init(|| shared("clickhouse"));
    Clickhouse::new(server, &unique("db"))
}

/// The shared Kafka broker. A test makes topics of its own.
#[cfg(feature = "kafka")]
pub(crate) async fn kafka() -> Kafka {
    static SERVER: OnceLock<String> = OnceLock::new();
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(|| shared("kafka")));
    Kafka::new(server.await.unwrap())
}

/// A fresh database of the shared PostgreSQL server.
#[cfg(feature = "timescale")]
pub(crate) async fn postgres() -> Database {
    static SERVER: OnceLock<String> = OnceLock::new();
    let server = SERVER.get_or_init(|| shared("postgres"));
    Database::create(server, &unique("db")).await
}

/// A fresh schema of the shared TimescaleDB server. It has one backend: transactions of all tests take turns, and one
/// that a test leaves open blocks them all.
#[cfg(feature = "timescale")]
pub(crate) async fn timescale() -> Database {
    static SERVER: OnceLock<String> = OnceLock::new();
    let server = SERVER.get_or_init(|| shared("timescale"));
    Database::in_schema(server, &unique("s"))
}

/// A fresh place on each of the two servers, for what holds on both.
#[cfg(feature = "timescale")]
pub(crate) async fn both() -> [Database; 2] {
    [postgres().await, timescale().await]
}

/// A name that no other test has, in this binary or in another one.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("qicore_{prefix}{}_{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

/// The URL of the server that all tests of the binary share; of Kafka its `host:port`.
fn shared(service: &str) -> String {
    let kind = if service == "kafka" { "BROKERS" } else { "URL" };
    if let Ok(url) = std::env::var(format!("QICORE_{}_{kind}", service.to_uppercase())) {
        return url;
    }
    // What watches over the server removes the folder when this process is gone.
    let folder = tempfile::tempdir().unwrap().keep();
    started(service, &folder, "")
}

/// Starts a server, or finds it running, and gives its URL. It ends with this process at the latest.
fn started(service: &str, folder: &Path, options: &str) -> String {
    started_as(service, folder, options, "")
}

/// The same, with a new cluster as the standby of another server, if one is given.
fn started_as(service: &str, folder: &Path, options: &str, standby_of: &str) -> String {
    let with = std::process::id().to_string();
    let told = services_as(folder, &["start", "--with", &with, service], options, standby_of);
    let (_, url) = told.trim().split_once('=').expect("export NAME=URL");
    url.to_owned()
}

/// Calls `scripts/services.sh`.
fn services(folder: &Path, arguments: &[&str], options: &str) -> String {
    services_as(folder, arguments, options, "")
}

fn services_as(folder: &Path, arguments: &[&str], options: &str, standby_of: &str) -> String {
    let output = Command::new("bash")
        .arg(script())
        .args(arguments)
        .env("QICORE_SERVICES_DIR", folder)
        // What a killed process has written the kernel keeps: only a power loss would take it.
        .env("QICORE_POSTGRES_OPTS", format!("-c fsync=off {options}"))
        .env("QICORE_POSTGRES_SHARED_BUFFERS", "64MB")
        .env("QICORE_POSTGRES_STANDBY_OF", standby_of)
        .env("QICORE_CLICKHOUSE_CONFIG", options)
        .env("QICORE_KAFKA_CONFIG", options)
        // No second compiler: the broker starts with half the work.
        .env("QICORE_KAFKA_OPTS", "-XX:TieredStopAtLevel=1")
        .output()
        .expect("bash");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "services.sh {arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn script() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut scripts = above.map(|folder| folder.join("scripts/services.sh"));
    scripts.find(|script| script.exists()).expect("scripts/services.sh")
}
