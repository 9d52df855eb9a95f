//! How a client talks to its host.

use std::path::PathBuf;
use std::time::Duration;

use qicore_data::{Error, Result, RetryPolicy, settings};
use serde::Deserialize;

use super::tls;

/// Connections of a client: the section `net` of a source.
///
/// Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`) for HTTP; WebSockets connect directly.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NetConfig {
    /// The longest that making a connection takes, TLS and the WebSocket's handshake included.
    #[serde(with = "settings::duration")]
    pub connect_timeout: Duration,
    /// The most requests of this process to one host that are under way at a time. What asks a host first sets it.
    pub concurrency: usize,
    /// A longer answer or message is refused.
    pub max_bytes: usize,
    /// How requests are tried again. `timeout` is for one of them, its answer's body included.
    pub retry: RetryPolicy,
    /// Certificates to trust besides Mozilla's roots: a PEM file.
    pub tls_ca: Option<PathBuf>,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            concurrency: 8,
            max_bytes: 64 << 20,
            retry: RetryPolicy::default().timeout(Duration::from_secs(30)),
            tls_ca: None,
        }
    }
}

impl NetConfig {
    /// Whether anything can be reached with it.
    pub(crate) fn check(&self) -> Result<()> {
        let nothing = [
            ("connect_timeout", self.connect_timeout.is_zero()),
            ("concurrency", self.concurrency == 0),
            ("max_bytes", self.max_bytes == 0),
            ("retry.timeout", self.retry.timeout.is_zero()),
        ];
        match nothing.into_iter().find(|(_, nothing)| *nothing) {
            Some((setting, _)) => {
                let message = format!("net.{setting} must be above 0");
                Err(Error::config("net.config", message).with("setting", "net"))
            }
            None => tls::config(self.tls_ca.as_slice()).map(|_| ()),
        }
    }

    /// Trusts the certificates of a PEM file too.
    #[must_use]
    pub fn tls_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls_ca = Some(file.into());
        self
    }

    /// Sets the most requests under way at a time.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self
    }

    /// Sets how requests are tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}
