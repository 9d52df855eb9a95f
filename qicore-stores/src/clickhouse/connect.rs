//! Requests to one of several servers, past those that do not answer.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clickhouse::error::Error as DriverError;
use clickhouse::insert_formatted::InsertFormatted;
use clickhouse::{Client, RowOwned, RowRead};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use qicore_data::{Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::OnceCell;

use super::config::{Compression, Connection, Endpoint};
use super::error::{is_of_server, mapped};

/// How long a server that did not answer is passed over, where there is another one.
const PASSED_OVER: Duration = Duration::from_secs(30);
/// Less than the server keeps a connection that nothing is asked on: one that it closes in the same moment would fail.
const IDLE: Duration = Duration::from_secs(2);

/// The servers, and what is shared by all requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Servers(Arc<Shared>);

struct Shared {
    servers: Vec<Server>,
    next: AtomicUsize,
    timeout: Duration,
    /// Done once no server is known to cut answers short.
    whole: OnceCell<()>,
}

/// One server.
pub(super) struct Server {
    pub(super) client: Client,
    name: String,
    /// Until when it is passed over, in milliseconds since this program first asked.
    down_until: AtomicU64,
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.servers.iter().map(|server| &server.name))
            .finish()
    }
}

fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

impl Servers {
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        let tls = tls(connection)?;
        let endpoints = connection.endpoints()?;
        let servers = endpoints.into_iter().map(|endpoint| {
            let name = endpoint.name();
            let client = client(connection, &tls, endpoint);
            Server {
                client,
                name,
                down_until: AtomicU64::new(0),
            }
        });
        Ok(Self(Arc::new(Shared {
            servers: servers.collect(),
            next: AtomicUsize::new(0),
            timeout: connection.timeout,
            whole: OnceCell::new(),
        })))
    }

    /// The servers in the order in which they are to be tried: each request begins with the next one, and those that
    /// lately did not answer come last.
    fn in_turn(&self) -> Vec<&Server> {
        let all = &self.0.servers;
        let start = self.0.next.fetch_add(1, Relaxed) % all.len();
        let mut order: Vec<&Server> = all[start..].iter().chain(&all[..start]).collect();
        let now = millis();
        order.sort_by_key(|server| server.down_until.load(Relaxed).saturating_sub(now));
        order
    }

    /// How long a server has been up, if it answers.
    pub(super) async fn uptime(&self, server: &Server) -> Option<Duration> {
        let asked = server.client.query_raw("SELECT toUInt64(uptime())").fetch_one::<u64>();
        let answer = tokio::time::timeout(self.0.timeout, asked).await.ok()?;
        answer.ok().map(Duration::from_secs)
    }

    /// Asks, the first time, whether the user's profile on the server has answers end in the middle and calls them whole.
    ///
    /// # Errors
    /// [`Config`](qicore_data::ErrorKind::Config) where it has.
    pub(super) async fn whole_answers(&self) -> Result<()> {
        self.0.whole.get_or_try_init(|| self.cut_answers()).await.copied()
    }

    async fn cut_answers(&self) -> Result<()> {
        let mut told: Vec<Vec<String>> = self.all("clickhouse.check", CUTTING, &[]).await?;
        // One row always, but where the setting `offset` takes even that.
        let set = told.pop().unwrap_or_else(|| vec!["offset".to_owned()]);
        if set.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the user's profile on the server has answers end in the middle without an error: {}",
            set.join(", ")
        );
        let advice = "take them out of the profile (an overflow mode is to be 'throw'), or connect as another user";
        Err(Error::config("clickhouse.check", message).with("advice", advice))
    }

    /// An insert each of whose steps (a piece that is sent, the answer) is ended when its time is over.
    pub(super) fn insert(&self, server: &Server, sql: &str) -> InsertFormatted {
        let timeout = Some(self.0.timeout);
        server.client.insert_formatted_with(sql).with_timeouts(timeout, timeout)
    }

    /// Asks one server after the other until one answers, or refuses what any of them would.
    pub(super) async fn each<'s, T, F>(
        &'s self,
        request: impl Fn(&'s Server) -> F,
    ) -> Result<T, (DriverError, &'s Server)>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        self.each_within(Some(self.0.timeout), request).await
    }

    /// The same with another limit, or none: for what ends by itself.
    pub(super) async fn each_within<'s, T, F>(
        &'s self,
        limit: Option<Duration>,
        request: impl Fn(&'s Server) -> F,
    ) -> Result<T, (DriverError, &'s Server)>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        let mut last = None;
        for server in self.in_turn() {
            let answer = tokio::time::timeout(limit.unwrap_or(Duration::MAX), request(server)).await;
            match answer.unwrap_or(Err(DriverError::TimedOut)) {
                Ok(answer) => {
                    server.answered();
                    return Ok(answer);
                }
                Err(error) if is_of_server(&error) => {
                    server.failed();
                    last = Some((error, server));
                }
                Err(error) => return Err((error, server)),
            }
        }
        Err(last.unwrap_or_else(|| (DriverError::TimedOut, &self.0.servers[0])))
    }

    /// The same, with the project's errors.
    pub(super) async fn ask<'s, T, F>(&'s self, operation: &'static str, request: impl Fn(&'s Server) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        let answer = self.each(request).await;
        answer.map_err(|(error, server)| mapped(operation, error).with("server", &server.name))
    }

    /// Runs a statement that gives no rows.
    pub(super) async fn execute(&self, operation: &'static str, sql: &str) -> Result<()> {
        self.ask(operation, |server| server.client.query_raw(sql).execute())
            .await
    }

    /// All rows of a small answer. Parameters stand in the statement as `{name:Type}`.
    pub(super) async fn all<T: RowOwned + RowRead>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>> {
        self.ask(operation, |server| {
            let query = server.client.query_raw(sql);
            let bound = parameters
                .iter()
                .fold(query, |query, (name, value)| query.param(name, value));
            bound.fetch_all::<T>()
        })
        .await
    }

    /// The only row of an answer.
    pub(super) async fn one<T: RowOwned + RowRead>(
        &self,
        operation: &'static str,
        sql: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T> {
        let mut rows: Vec<T> = self.all(operation, sql, parameters).await?;
        rows.pop()
            .ok_or_else(|| Error::decode(operation, "the server gave no row"))
    }
}

impl Server {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn answered(&self) {
        self.down_until.store(0, Relaxed);
    }

    fn failed(&self) {
        self.down_until
            .store(millis() + PASSED_OVER.as_millis() as u64, Relaxed);
    }
}

/// Settings that take rows out of answers, where they are set. Those of the connection have been checked by name.
const CUTTING: &str =
    "SELECT groupArray(name) FROM system.settings WHERE name LIKE '%\\_overflow\\_mode%' AND value IN ('break', 'any')
    OR name IN ('limit', 'offset', 'additional_table_filters', 'additional_result_filter') AND changed";

fn client(connection: &Connection, tls: &rustls::ClientConfig, endpoint: Endpoint) -> Client {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    #[cfg(target_os = "linux")]
    connector.set_tcp_user_timeout(Some(connection.timeout));
    connector.set_keepalive(Some(Duration::from_secs(60)));
    connector.set_connect_timeout(Some(connection.connect_timeout));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .build(connector);
    let compressed = match connection.compression {
        Compression::Auto => !endpoint.is_this_machine(),
        Compression::None => false,
        Compression::Lz4 => true,
    };
    let mut client = Client::with_http_client(http)
        .with_url(endpoint.url.as_str())
        .with_product_info(&connection.application_name, env!("CARGO_PKG_VERSION"))
        .with_compression(if compressed {
            clickhouse::Compression::Lz4
        } else {
            clickhouse::Compression::None
        });
    for (name, value) in &connection.settings {
        client = client.with_setting(name, value);
    }
    let named = endpoint.user.is_some();
    if let Some(user) = endpoint.user {
        client = client.with_user(user);
    }
    match endpoint.password {
        Some(password) => client = client.with_password(password.expose()),
        None if connection.tls_cert.is_some() && named => {
            client = client.with_header("X-ClickHouse-SSL-Certificate-Auth", "on");
        }
        None => {}
    }
    client
}

/// One TLS library with one provider, whatever else the program has installed.
fn tls(connection: &Connection) -> Result<rustls::ClientConfig> {
    let unreadable = |setting: &'static str, path: &std::path::Path, error: &dyn fmt::Display| {
        let message = format!("{setting}: {} cannot be read: {error}", path.display());
        Error::config("clickhouse.config", message)
    };
    let certificates = |setting, path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let read: Vec<_> = read.map_err(|error| unreadable(setting, path, &error))?;
        match read.is_empty() {
            true => Err(unreadable(setting, path, &"there is no certificate in it")),
            false => Ok(read),
        }
    };
    let mut roots = rustls::RootCertStore::empty();
    match &connection.tls_ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates("tls_ca", path)? {
                roots
                    .add(certificate)
                    .map_err(|error| unreadable("tls_ca", path, &error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config("clickhouse.config", error.to_string()))?
        .with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&connection.tls_cert, &connection.tls_key) else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("tls_cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls_key", key, &error))?;
    builder
        .with_client_auth_cert(chain, secret)
        .map_err(|error| unreadable("tls_key", key, &error))
}
