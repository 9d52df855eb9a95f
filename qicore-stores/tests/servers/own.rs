//! Servers that a test may do anything to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "timescale")]
use super::Database;
#[cfg(feature = "kafka")]
use super::Kafka;
use super::{services, started, started_as};

/// A server of a test's own. It is gone, with its data, when this is dropped.
#[derive(Debug)]
pub(crate) struct Own {
    service: &'static str,
    folder: tempfile::TempDir,
    /// Settings of PostgreSQL, as `-c name=value` pairs; for ClickHouse the path of a configuration file;
    /// for Kafka `name=value` pairs with `;` between them.
    options: String,
    url: String,
}

impl Own {
    /// A PostgreSQL server with settings as `-c name=value` pairs.
    pub(crate) fn postgres(options: &str) -> Self {
        Self::new("postgres", options)
    }

    /// A ClickHouse server with a configuration file, or with none where the path is empty.
    pub(crate) fn clickhouse(config: &str) -> Self {
        Self::new("clickhouse", config)
    }

    /// A Kafka broker with settings as `name=value` pairs with `;` between them.
    pub(crate) fn kafka(settings: &str) -> Self {
        Self::new("kafka", settings)
    }

    /// A TimescaleDB server.
    pub(crate) fn timescale() -> Self {
        Self::new("timescale", "")
    }

    /// A hot standby, which follows this server and takes no writes until it is promoted.
    pub(crate) fn standby(&self) -> Self {
        Self::new_as(self.service, &self.options, &self.url)
    }

    fn new(service: &'static str, options: &str) -> Self {
        Self::new_as(service, options, "")
    }

    fn new_as(service: &'static str, options: &str, standby_of: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            url: started_as(service, folder.path(), options, standby_of),
            service,
            options: options.to_owned(),
            folder,
        }
    }

    /// Its URL, which stays the same over restarts; of Kafka its `host:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The schema `public` of its first database.
    #[cfg(feature = "timescale")]
    pub(crate) fn database(&self) -> Database {
        Database::in_schema(&self.url, "public")
    }

    /// The broker, where everybody may do all.
    #[cfg(feature = "kafka")]
    pub(crate) fn broker(&self) -> Kafka {
        Kafka::new(&self.url)
    }

    /// The broker's other listener, by TLS and SASL: for `admin`, who may do all, or `guest`, who may do nothing.
    #[cfg(feature = "kafka")]
    pub(crate) fn broker_as(&self, user: &str) -> Kafka {
        Kafka::new(&format!("127.0.0.1:{}", self.ssl_port()))
            .with("security.protocol", "SASL_SSL")
            .with("sasl.mechanism", "PLAIN")
            .with("sasl.username", user)
            .with("sasl.password", &self.password(user))
            .with("ssl.ca.location", self.authority().to_str().unwrap())
    }

    /// The port of the broker's other listener.
    pub(crate) fn ssl_port(&self) -> u16 {
        self.told("ssl-port").parse().unwrap()
    }

    /// The password of a user of the broker's other listener.
    pub(crate) fn password(&self, user: &str) -> String {
        self.told(if user == "guest" { "guest-password" } else { "password" })
    }

    fn told(&self, file: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(self.service).join(file));
        text.unwrap().trim().to_owned()
    }

    /// Starts it again, with its data. May block for seconds.
    pub(crate) fn start(&self) {
        assert_eq!(started(self.service, self.folder.path(), &self.options), self.url);
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&self) {
        services(self.folder.path(), &["kill", self.service], "");
    }

    /// Ends it cleanly.
    pub(crate) fn stop(&self) {
        services(self.folder.path(), &["stop", self.service], "");
    }

    /// Does what may block for seconds while the test's own tasks go on.
    pub(crate) async fn aside(self: &Arc<Self>, act: fn(&Self)) {
        let own = Arc::clone(self);
        tokio::task::spawn_blocking(move || act(&own)).await.unwrap();
    }

    /// Kills it and starts it again, while the test's own tasks go on.
    pub(crate) async fn restart(self: &Arc<Self>) {
        self.aside(Self::kill).await;
        self.aside(Self::start).await;
    }

    /// Other settings for the next start.
    pub(crate) fn set_options(&mut self, options: &str) {
        options.clone_into(&mut self.options);
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join(self.service).join("ca.crt")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        services(self.folder.path(), &["kill", self.service], "");
        services(self.folder.path(), &["clean", self.service], "");
    }
}
