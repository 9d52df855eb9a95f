//! HTTP under a budget.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use qicore_data::{Error, ErrorKind, Result, RetryAdvice, RetryPolicy, Timestamp};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;
use url::{Position, Url};

use super::answer::{Answer, Refusal, ahead, retry_after};
use super::budget::{Budget, Window};
use super::config::NetConfig;
use super::shared::Registry;
use super::{HTTP, retrying, tls};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The path, with a query.
    pub(crate) path: String,
    /// What it costs of the budget.
    pub(crate) weight: u32,
    /// The longest silence that is waited for where the host wants one; a longer one is told.
    pub(crate) patience: Duration,
}

impl Request {
    /// A path with its query.
    pub(crate) fn new(path: impl Into<String>, weight: u32) -> Self {
        Self {
            path: path.into(),
            weight,
            patience: Duration::MAX,
        }
    }
}

/// What a host tells by its headers of what it counts as used: the window, and the weight.
pub(crate) type Told = fn(&HeaderMap) -> Option<(Duration, u32)>;

/// Requests under way, by host.
static UNDER_WAY: Registry<Semaphore> = Registry::new();

/// A client of one host.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
    budget: Arc<Budget>,
    under_way: Arc<Semaphore>,
    retry: RetryPolicy,
    longest: usize,
    /// The error that a body is, if it is one.
    of_body: fn(&str) -> Option<Error>,
    told: Option<Told>,
}

/// Of the URL only where it leads to.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &super::url::place(&self.base))
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// A client of the host at `base`, which shares the budget, and the requests that may be under way, with all that ask
    /// this host from this process. Connects to nothing yet.
    pub(crate) fn new(
        base: &str,
        config: &NetConfig,
        windows: Vec<Window>,
        of_body: fn(&str) -> Option<Error>,
    ) -> Result<Self> {
        let base = super::url(base, &HTTP)?;
        let host = base.origin().ascii_serialization();
        let under_way = || Semaphore::new(config.concurrency.max(1));
        let tls = tls::config(config.tls_ca.as_slice())?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.as_ref().clone())
            .connect_timeout(config.connect_timeout)
            .timeout(config.retry.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            // A redirect of a venue's interface leads to a page for people.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("qicore/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::config("net.http", "no client can be made").with_source(error.without_url()))?;
        Ok(Self {
            client,
            base,
            budget: Budget::shared(&host, windows),
            under_way: UNDER_WAY.of(&host, |_| false, under_way),
            retry: config.retry,
            longest: config.max_bytes,
            of_body,
            told: None,
        })
    }

    /// The host tells what it counts as used.
    #[must_use]
    pub(crate) fn told_by(mut self, told: Told) -> Self {
        self.told = Some(told);
        self
    }

    /// Asks, again and again where that may help.
    pub(crate) async fn get(&self, request: &Request) -> Result<Answer> {
        retrying(&self.retry, request.patience, || self.once(request)).await
    }

    async fn once(&self, request: &Request) -> Result<Answer> {
        let url = super::below(&self.base, &request.path);
        let _slot = self.under_way.acquire().await;
        if let Some(silence) = self.budget.paused().filter(|silence| *silence > request.patience) {
            let message = format!(
                "the host wants nothing to be asked for another {} s",
                silence.as_secs() + 1
            );
            let error = Error::new(ErrorKind::RateLimited, "net.http", message);
            return Err(error.with_retry(RetryAdvice::After(silence)));
        }
        let _permit = self.budget.take(request.weight).await;
        let place = super::url::place(&url);
        // Of the base only the host: its user, path and query are nobody's business.
        let told = url[Position::BeforeHost..Position::AfterPort].to_owned();
        let told = format!("{}://{told}{}", url.scheme(), request.path);
        self.exchange(url, told).await.map_err(|error| error.with("url", place))
    }

    async fn exchange(&self, url: Url, told: String) -> Result<Answer> {
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        let status = response.status();
        if let Some((period, used)) = self.told.and_then(|told| told(response.headers())) {
            self.budget.told(period, used);
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let wait = retry_after(header(RETRY_AFTER));
        let ahead = ahead(header(DATE), Timestamp::now());
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > self.longest {
                let message = format!("an answer of more than {} bytes", self.longest);
                return Err(Error::decode("net.http", message));
            }
            body.extend_from_slice(&part);
        }
        if !status.is_success() {
            let refusal = Refusal {
                status: status.as_u16(),
                retry_after: wait,
                body: &body,
            };
            let error = refusal.error(self.of_body);
            if error.kind() == ErrorKind::RateLimited {
                // All who share the budget keep still, not only this request.
                self.budget.pause(wait.unwrap_or(self.retry.first_pause));
            }
            return Err(error);
        }
        let answer = Answer {
            url: told.into(),
            received: Timestamp::now(),
            ahead,
            body: body.freeze(),
        };
        self.check(answer)
    }

    /// A success may still carry an error, or be a page of something between.
    fn check(&self, answer: Answer) -> Result<Answer> {
        let text = answer.text()?;
        if let Some(error) = (self.of_body)(text) {
            if error.kind() == ErrorKind::RateLimited {
                self.budget.pause(self.retry.first_pause);
            }
            return Err(error);
        }
        // Hosts that are asked here answer in JSON: what is none, or half of it, is damaged, and may be whole the next time.
        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            let message = match text.trim_start().starts_with('<') {
                true => "a page came in place of data: something between here and the host answers for it".to_owned(),
                false => format!("the answer is no JSON, or is cut off: {error}"),
            };
            return Err(Error::new(ErrorKind::Unavailable, "net.http", message).with_retry(RetryAdvice::Backoff));
        }
        Ok(answer)
    }
}

/// The error of a request that got no answer, or half of one.
fn failed(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let cause = innermost(&error);
    if cause.contains("certificate") {
        let message = format!("the host's certificate is not trusted ({cause}): name its authority in net.tls_ca");
        return Error::new(ErrorKind::Unauthorized, "net.http", message).with_source(error);
    }
    let (kind, told) = if error.is_timeout() {
        (ErrorKind::Timeout, "no answer in time".to_owned())
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("no connection: {cause}"))
    } else {
        (ErrorKind::Unavailable, format!("the answer broke off: {cause}"))
    };
    Error::new(kind, "net.http", told)
        .with_retry(RetryAdvice::Backoff)
        .with_source(error)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
