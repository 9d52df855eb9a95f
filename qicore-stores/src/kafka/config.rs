//! How to reach the brokers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{Error, Result, Secret, settings::duration};
use rdkafka::ClientConfig;
use serde::Deserialize;

use crate::section::section;

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// User and password as they are: over TLS only.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// A challenge, with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A challenge, with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl SaslMechanism {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// How to reach the brokers.
///
/// ```
/// use qicore_data::Secret;
/// use qicore_stores::kafka::{Connection, SaslMechanism};
/// let connection = Connection::brokers("kafka1.example.com:9092,kafka2.example.com:9092")
///     .tls(true)
///     .user("ingest", Secret::new("hunter2"), SaslMechanism::ScramSha512);
/// assert!(!format!("{connection:?}").contains("hunter2"));
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct Connection {
    /// `HOST:PORT`, several of them parted by commas: the others of the cluster are learnt from any that answers. May come
    /// from the environment, like a secret. Default `localhost:9092`.
    pub brokers: Option<Secret>,
    /// What the brokers' logs and quotas call this program.
    pub client_id: String,
    /// Whether connections are encrypted. Needs the feature `kafka-ssl`, as `user` does.
    pub tls: bool,
    /// The authorities to believe, as PEM; the system's if none is named.
    pub tls_ca: Option<PathBuf>,
    /// A client certificate, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// The user (SASL).
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// How the password is sent.
    pub mechanism: SaslMechanism,
    /// How long a request may take, and how long the brokers are looked for when a pipeline opens.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// More settings of librdkafka, by their names there.
    pub properties: BTreeMap<String, Secret>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("brokers", &self.addresses())
            .field("tls", &self.tls)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            brokers: None,
            client_id: "qicore".into(),
            tls: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            user: None,
            password: None,
            mechanism: SaslMechanism::default(),
            timeout: Duration::from_secs(10),
            properties: BTreeMap::new(),
        }
    }
}

section!(Connection, "connection.brokers = { env = \"QICORE_KAFKA_BROKERS\" }");

/// Settings that the plugins give themselves, for their promises hang on them.
const OWN: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "sasl.password",
    "ssl.key.password",
    "transactional.id",
];

impl Connection {
    /// By the brokers' addresses.
    pub fn brokers(addresses: impl Into<Box<str>>) -> Self {
        Self {
            brokers: Some(Secret::new(addresses)),
            ..Self::default()
        }
    }

    /// Sets whether connections are encrypted.
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// Sets the authorities to believe.
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(pem.into());
        self
    }

    /// Sets who is connecting.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, password: Secret, mechanism: SaslMechanism) -> Self {
        (self.user, self.password, self.mechanism) = (Some(user.into()), Some(password), mechanism);
        self
    }

    /// Sets how long a request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds a setting of librdkafka.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<Box<str>>) -> Self {
        self.properties.insert(name.into(), Secret::new(value));
        self
    }

    /// The brokers that are asked first.
    pub fn addresses(&self) -> &str {
        self.brokers.as_ref().map_or("localhost:9092", Secret::expose)
    }

    /// Finds what cannot be meant, without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config).
    pub fn check(&self) -> Result<()> {
        let mistake = |message: String| Err(Error::config("kafka.config", message));
        if self.addresses().split(',').any(|address| address.trim().is_empty()) {
            return mistake("brokers: one of the addresses is empty".into());
        }
        if self.addresses().contains("://") || self.addresses().contains('@') {
            return mistake("brokers are HOST:PORT, parted by commas: no scheme, no user".into());
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(300)).contains(&self.timeout) {
            return mistake("timeout is from 100 ms to 5 minutes".into());
        }
        let files = [&self.tls_ca, &self.tls_cert, &self.tls_key].into_iter().flatten();
        if let Some(missing) = files.into_iter().find(|path| !path.is_file()) {
            return mistake(format!("{}: no such file", missing.display()));
        }
        if (self.tls || self.user.is_some()) && !cfg!(feature = "kafka-ssl") {
            return mistake("tls and user need the feature `kafka-ssl`: build with it".into());
        }
        if self.user.is_some() != self.password.is_some() {
            return mistake("user and password go together".into());
        }
        if !self.tls && (self.tls_ca.is_some() || self.tls_cert.is_some()) {
            return mistake("tls_ca and tls_cert need tls = true".into());
        }
        if let Some(own) = self.properties.keys().find(|name| OWN.contains(&name.as_str())) {
            return mistake(format!(
                "properties.{own} is not for you to set: the promises of delivery hang on it"
            ));
        }
        super::client::known(&self.client(), self.properties.keys())
    }

    /// What every client of these brokers is made from.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.addresses())
            .set("client.id", &self.client_id)
            .set("socket.timeout.ms", self.timeout.as_millis().to_string())
            // A broker that was down is found again soon after it is up.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            // Logs go by the context, where `log_level` decides.
            .set("log.connection.close", "false");
        let protocol = match (self.tls, self.user.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        if protocol != "plaintext" {
            config.set("security.protocol", protocol);
        }
        let files = [
            ("ssl.ca.location", &self.tls_ca),
            ("ssl.certificate.location", &self.tls_cert),
            ("ssl.key.location", &self.tls_key),
        ];
        for (name, path) in files {
            if let Some(path) = path {
                config.set(name, path.display().to_string());
            }
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            config
                .set("sasl.mechanism", self.mechanism.as_str())
                .set("sasl.username", user)
                .set("sasl.password", password.expose());
        }
        for (name, value) in &self.properties {
            config.set(name, value.expose());
        }
        config
    }
}
