//! How to reach ClickHouse.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{Error, Result, Secret, settings::duration};
use serde::Deserialize;
use url::Url;

use crate::section::section;

/// Whether what is sent is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Compression {
    /// LZ4 to other machines, nothing to this one: on loopback it costs more than it saves.
    #[default]
    Auto,
    /// Never.
    None,
    /// Always.
    Lz4,
}

/// How to reach ClickHouse: its HTTP interface, at one address or at several replicas.
///
/// ```
/// use qicore_data::Secret;
/// use qicore_stores::clickhouse::Connection;
/// let connection = Connection::url("https://ch1.example.com:8443")
///     .replica("https://ch2.example.com:8443")
///     .user("ingest", Secret::new("hunter2"));
/// assert!(!format!("{connection:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct Connection {
    /// `http[s]://[USER[:PASSWORD]@]HOST[:PORT]`; a secret, since a password may be in it. Credentials are sent as
    /// headers, never in a URL. Default `http://localhost:8123`.
    pub url: Option<Secret>,
    /// More replicas of the same data. Requests go to them in turn, and past those that do not answer. A row that is on one
    /// replica alone is lost with it, unless `insert_quorum` is set in `settings`.
    pub replicas: Vec<Secret>,
    /// The user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// The authorities to believe, as PEM; the public ones (Mozilla's list) if none is named.
    pub tls_ca: Option<PathBuf>,
    /// A client certificate, as PEM. With `user` and no password, the user is known by it.
    pub tls_cert: Option<PathBuf>,
    /// Its key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// Whether rows are compressed on their way.
    pub compression: Compression,
    /// How long a connection may take to be made.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the server may work on one request; of an insert, how long the network may take for a megabyte, and then
    /// the server for its answer.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// ClickHouse's own settings for every request (`insert_quorum = "auto"`, `max_memory_usage = "4000000000"`).
    pub settings: BTreeMap<String, String>,
    /// What the server's query log calls this program.
    pub application_name: String,
    /// Most inserts at a time.
    pub connections: u32,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            url: None,
            replicas: Vec::new(),
            user: None,
            password: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            compression: Compression::Auto,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(50),
            settings: BTreeMap::new(),
            application_name: "qicore".into(),
            connections: 4,
        }
    }
}

section!(Connection, "connection.url = { env = \"QICORE_CLICKHOUSE_URL\" }");

/// Settings that the store gives itself, for its promises hang on them.
const OWN_SETTINGS: &[&str] = &[
    "additional_result_filter",
    "additional_table_filters",
    "async_insert",
    "database",
    "default_format",
    "final",
    "input_format_native_allow_types_conversion",
    "insert_deduplicate",
    "insert_deduplication_token",
    "limit",
    "offset",
    "password",
    "query",
    "query_id",
    "session_id",
    "use_query_cache",
    "user",
    "wait_for_async_insert",
];

impl Connection {
    /// By its URL.
    pub fn url(url: impl Into<Box<str>>) -> Self {
        Self {
            url: Some(Secret::new(url)),
            ..Self::default()
        }
    }

    /// Adds a replica.
    #[must_use]
    pub fn replica(mut self, url: impl Into<Box<str>>) -> Self {
        self.replicas.push(Secret::new(url));
        self
    }

    /// Sets who is connecting.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, password: Secret) -> Self {
        (self.user, self.password) = (Some(user.into()), Some(password));
        self
    }

    /// Sets the authorities to believe.
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(pem.into());
        self
    }

    /// Sets the certificate to show, and its key.
    #[must_use]
    pub fn certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        (self.tls_cert, self.tls_key) = (Some(cert.into()), Some(key.into()));
        self
    }

    /// Sets whether rows are compressed.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets how long connecting and a request may take.
    #[must_use]
    pub fn timeouts(mut self, connect: Duration, request: Duration) -> Self {
        (self.connect_timeout, self.timeout) = (connect, request);
        self
    }

    /// Sets one of ClickHouse's settings for every request.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Sets the most inserts at a time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config). No URL is in the message.
    pub fn check(&self) -> Result<()> {
        if !(1..=1000).contains(&self.connections) {
            return Err(config("connections must be 1 to 1000"));
        }
        if self.connect_timeout.is_zero() || self.timeout.is_zero() {
            return Err(config("connect_timeout and timeout must be more than nothing"));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(config("tls_cert and tls_key go together"));
        }
        // Also what would end an answer in the middle and call it whole.
        let own = |name: &&String| OWN_SETTINGS.contains(&name.as_str()) || name.contains("_overflow_mode");
        if let Some(name) = self.settings.keys().find(own) {
            return Err(config(format!("settings.{name} is not for you to set")));
        }
        if self.user.as_deref().is_some_and(|user| user.contains([':', '@', '/'])) {
            let message = "user is no name: a URL is set as connection.url, a password as connection.password";
            return Err(config(message));
        }
        self.endpoints().map(drop)
    }

    /// Where to connect, and as whom.
    pub(super) fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let first = self.url.clone().unwrap_or_else(|| Secret::new("http://localhost:8123"));
        let urls = std::iter::once(&first).chain(&self.replicas);
        urls.map(|url| self.endpoint(url)).collect()
    }

    fn endpoint(&self, url: &Secret) -> Result<Endpoint> {
        // The parser's own message may quote the URL.
        let wrong = || config("a url is not like http://HOST:8123 or https://HOST:8443");
        let mut url = Url::parse(url.expose()).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            let message = "a url has something behind its host: the database is set as tables.database, settings as \
                           connection.settings; write / ? # and @ in a user or password as %2F %3F %23 and %40, or set them beside";
            return Err(config(message));
        }
        let decoded = |text: &str| {
            let form = format!("x={}", text.replace('+', "%2B"));
            let mut pairs = url::form_urlencoded::parse(form.as_bytes());
            pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let given = Some(url.username()).filter(|user| !user.is_empty()).map(decoded);
        let password = url.password().map(|password| Secret::new(decoded(password)));
        // Neither can fail where there is a host.
        let _ = (url.set_username(""), url.set_password(None));
        Ok(Endpoint {
            user: self.user.clone().or(given),
            password: self.password.clone().or(password),
            url,
        })
    }
}

/// One address, without credentials, and the credentials.
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

impl Endpoint {
    /// As logs and errors name it.
    pub(super) fn name(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    pub(super) fn is_this_machine(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

fn config(message: impl Into<String>) -> Error {
    Error::config("clickhouse.config", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let connection = Connection::url("http://u:hunter2@h");
        assert!(!format!("{connection:?}").contains("hunter2"));
        let [endpoint] = &connection.endpoints().unwrap()[..] else {
            panic!()
        };
        assert_eq!(endpoint.url.as_str(), "http://h/");
        assert_eq!(endpoint.password.as_ref().unwrap().expose(), "hunter2");
        for url in [
            "http://u:hun?ter2@h",
            "http://u:hun/ter2@h",
            "http://u:hun#ter2@h",
            "http://h/?password=hunter2",
            "http://u:hunter2@[h",
            "u:hunter2@h",
            "clickhouse://u:hunter2@h",
        ] {
            let told = Connection::url(url).check().unwrap_err().to_string();
            assert!(!told.contains("hun") && !told.contains("ter2"), "{told}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_those_beside_the_url_win() {
        let connection = Connection::url("https://us%40er:p%2F+%3F@h:8443").replica("http://[::1]:8123");
        let endpoints = connection.endpoints().unwrap();
        assert_eq!(endpoints[0].user.as_deref(), Some("us@er"));
        assert_eq!(endpoints[0].password.as_ref().unwrap().expose(), "p/+?");
        assert_eq!(endpoints[0].name(), "h:8443");
        assert!(endpoints[1].is_this_machine() && endpoints[1].user.is_none());
        let connection = connection.user("other", Secret::new("word"));
        assert_eq!(connection.endpoints().unwrap()[0].user.as_deref(), Some("other"));
    }

    #[test]
    fn settings_that_promises_hang_on_are_not_taken() {
        let told = Connection::default().setting("insert_deduplication_token", "x").check();
        assert!(told.unwrap_err().to_string().contains("insert_deduplication_token"));
        Connection::default().setting("insert_quorum", "2").check().unwrap();
    }
}
