//! How to reach a database, and what its tables are to be.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use qicore_data::{Error, Result, Secret, settings::duration};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::section::section;

/// How a connection is encrypted, by PostgreSQL's names. In production `verify-full`: the others but `verify-ca` accept
/// any server that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server can; the default, as `psql` has it.
    Prefer,
    /// Always, with whatever certificate.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// Always, with a certificate of a known authority for this very host.
    VerifyFull,
}

/// How to reach a database. The URL gives what is not set beside it; without either it is `localhost:5432`.
///
/// ```
/// use qicore_data::Secret;
/// use qicore_stores::timescale::{Connection, TlsMode};
/// let connection = Connection::url("postgres://ingest@db.example.com/market")
///     .password(Secret::new("hunter2"))
///     .tls(TlsMode::VerifyFull);
/// assert!(!format!("{connection:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct Connection {
    /// `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=…]`; a secret, since a password may be in it.
    pub url: Option<Secret>,
    /// The server's name or address, or the folder of its socket.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The role.
    pub user: Option<String>,
    /// The role's password.
    pub password: Option<Secret>,
    /// How the connection is encrypted.
    pub tls: Option<TlsMode>,
    /// The authorities to believe, as PEM; the public ones (Mozilla's list) if none is named.
    pub tls_ca: Option<PathBuf>,
    /// A client certificate, as PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its key, as PEM.
    pub tls_key: Option<PathBuf>,
    /// What the server's logs and `pg_stat_activity` call this program.
    pub application_name: String,
    /// How long a connection may take to be made.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long the server may work on one statement.
    #[serde(with = "duration")]
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    #[serde(with = "duration")]
    pub lock_timeout: Duration,
    /// Most connections at a time.
    pub connections: u32,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            url: None,
            host: None,
            port: None,
            database: None,
            user: None,
            password: None,
            tls: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            application_name: "qicore".into(),
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(50),
            lock_timeout: Duration::from_secs(20),
            connections: 4,
        }
    }
}

section!(Connection, "connection.url = { env = \"QICORE_TIMESCALE_URL\" }");

impl Connection {
    /// By its URL.
    pub fn url(url: impl Into<Box<str>>) -> Self {
        Self {
            url: Some(Secret::new(url)),
            ..Self::default()
        }
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets how the connection is encrypted.
    #[must_use]
    pub fn tls(mut self, mode: TlsMode) -> Self {
        self.tls = Some(mode);
        self
    }

    /// Sets the authorities to believe.
    #[must_use]
    pub fn tls_ca(mut self, pem: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(pem.into());
        self
    }

    /// Sets what the server's logs call this program.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Self {
        self.application_name = name.into();
        self
    }

    /// Sets how long the server may work on one statement, and how long that may wait for a lock.
    #[must_use]
    pub fn timeouts(mut self, statement: Duration, lock: Duration) -> Self {
        (self.statement_timeout, self.lock_timeout) = (statement, lock);
        self
    }

    /// Sets how long a connection may take to be made.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the most connections at a time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// Finds mistakes without connecting.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config). The URL is not in the message.
    pub fn check(&self) -> Result<()> {
        if self.connections == 0 {
            return Err(Error::config("timescale.config", "connections must be at least 1"));
        }
        // What the server takes: milliseconds in 31 bits.
        let most = Duration::from_millis(i32::MAX as u64);
        if self.statement_timeout > most || self.lock_timeout > most {
            let message = "statement_timeout and lock_timeout must be less than 25 days";
            return Err(Error::config("timescale.config", message));
        }
        if let Some(url) = &self.url {
            check_url(url.expose())?;
        }
        check_names(self)?;
        self.options().map(drop)
    }

    pub(super) fn options(&self) -> Result<PgConnectOptions> {
        let mut options = match &self.url {
            // The parser's own message may quote the URL.
            Some(url) => PgConnectOptions::from_str(url.expose()).map_err(|_| {
                let message = "the url is not like postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full";
                Error::config("timescale.config", message)
            })?,
            None => PgConnectOptions::new(),
        };
        if let Some(host) = &self.host {
            options = options.host(host);
        }
        if let Some(port) = self.port {
            options = options.port(port);
        }
        if let Some(database) = &self.database {
            options = options.database(database);
        }
        if let Some(user) = &self.user {
            options = options.username(user);
        }
        if let Some(password) = &self.password {
            options = options.password(password.expose());
        }
        if let Some(tls) = self.tls {
            options = options.ssl_mode(match tls {
                TlsMode::Disable => PgSslMode::Disable,
                TlsMode::Allow => PgSslMode::Allow,
                TlsMode::Prefer => PgSslMode::Prefer,
                TlsMode::Require => PgSslMode::Require,
                TlsMode::VerifyCa => PgSslMode::VerifyCa,
                TlsMode::VerifyFull => PgSslMode::VerifyFull,
            });
        }
        if let Some(pem) = readable("tls_ca", &self.tls_ca)? {
            options = options.ssl_root_cert(pem);
        }
        if let Some(pem) = readable("tls_cert", &self.tls_cert)? {
            options = options.ssl_client_cert(pem);
        }
        if let Some(pem) = readable("tls_key", &self.tls_key)? {
            options = options.ssl_client_key(pem);
        }
        Ok(options.application_name(&self.application_name))
    }
}

/// A file that is read at each connecting: that it is missing would only be told there, again and again and without its
/// name.
fn readable<'a>(setting: &str, path: &'a Option<PathBuf>) -> Result<Option<&'a PathBuf>> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::File::open(path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => {
            let message = format!("{setting}: {} cannot be read: {error}", path.display());
            Err(Error::config("timescale.config", message))
        }
    }
}

/// The parameters of a URL that mean something. The driver would write others to its log, with their values.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

fn check_url(url: &str) -> Result<()> {
    let fail = |message: String| Err(Error::config("timescale.config", message));
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return fail("the url does not begin with postgres://".into());
    }
    // A password with one of these characters as it is ends early, and its rest would be taken for a part of the URL that
    // errors may tell.
    let (_, after) = url.split_once("://").unwrap_or_default();
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    if after[authority.len()..].contains('@') {
        let message = "the url has an @ behind its host: write / ? # and @ in a user or password as %2F %3F %23 and %40, or set \
                       user and password beside";
        return fail(message.into());
    }
    let (_, query) = url.split_once('?').unwrap_or_default();
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    match names
        .filter(|name| !name.is_empty())
        .find(|name| !PARAMETERS.contains(name))
    {
        None => Ok(()),
        // Which one is not told: it may be a part of a password.
        Some(_) => fail(format!(
            "the url has a parameter that is none of these: {}",
            PARAMETERS.join(" ")
        )),
    }
}

/// What errors tell is not to hold a URL, with the password in it. A host is a name, an address or the folder of a socket.
fn check_names(connection: &Connection) -> Result<()> {
    let is_host = |host: &str| !host.contains([':', '@', '?']) || host.parse::<Ipv6Addr>().is_ok();
    let is_name = |name: &str| !name.contains("://");
    let wrong = [
        ("host", connection.host.as_deref().is_some_and(|host| !is_host(host))),
        (
            "database",
            connection.database.as_deref().is_some_and(|name| !is_name(name)),
        ),
        ("user", connection.user.as_deref().is_some_and(|name| !is_name(name))),
    ];
    match wrong.iter().find(|(_, wrong)| *wrong) {
        None => Ok(()),
        Some((setting, _)) => {
            let message = format!("{setting} is no name: a URL is set as connection.url, a port as connection.port");
            Err(Error::config("timescale.config", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_text() {
        let connection = Connection::url("postgres://u:hunter2@h/d");
        assert!(!format!("{connection:?}").contains("hunter2"));
        let unknown = Connection::url("postgres://u@h/d?passwd=hunter2")
            .check()
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("password") && !unknown.contains("hunter2"),
            "{unknown}"
        );
        assert!(Connection::url("mysql://u@h/d").check().is_err());
        let elsewhere = ["postgres://u:hunter2@h/d", "u:hunter2:5432"].map(|host| {
            let mut connection = Connection::url("postgres://u@h/d");
            connection.host = Some(host.into());
            connection
        });
        let cut = [
            "u@h/d?password=hun&ter2",
            "u:hun?ter2",
            "u:hun?ter2@h/d",
            "u:hun/ter2@h/d",
            "u:hun#ter2@h/d",
            "u:1234/hunter2@h/d",
        ];
        let cut = cut.map(|url| Connection::url(format!("postgres://{url}")));
        for connection in cut.iter().chain(&elsewhere) {
            let told = connection.check().unwrap_err().to_string();
            assert!(
                !told.contains("hun") && !told.contains("ter2") && !told.contains("1234"),
                "{told}"
            );
        }
        let broken = Connection::url("postgres://u:hunter2@[h/d").check().unwrap_err();
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
    }
}
