//! Calls that are tried again, and the pauses between them.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use qicore_data::{Error, Result, RetryAdvice, RetryPolicy};
use tokio::time::sleep;

use super::budget::LONGEST_PAUSE;

/// Growing pauses with jitter: never the same for two clients that lost the same host.
#[derive(Debug)]
pub(crate) struct Pauses {
    policy: RetryPolicy,
    pauses: ExponentialBackoff,
}

impl Pauses {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(policy.first_pause)
            .with_max_delay(policy.longest_pause)
            .with_max_times(policy.retries)
            .with_jitter()
            .build();
        Self { policy, pauses }
    }

    /// Pauses without an end: for a connection that is to be there again whenever its host is.
    pub(crate) fn endless(policy: RetryPolicy) -> Self {
        Self::new(policy.retries(usize::MAX))
    }

    /// Begins anew with the first pause.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.policy);
    }

    /// How long to wait after this error; `None` where trying again does not help, or has not helped often enough.
    pub(crate) fn after(&mut self, error: &Error) -> Option<Duration> {
        let wanted = match error.retry() {
            RetryAdvice::Backoff => Duration::ZERO,
            RetryAdvice::After(wait) => wait.min(LONGEST_PAUSE),
            _ => return None,
        };
        Some(self.pauses.next()?.max(wanted))
    }
}

/// Calls until it succeeds, until its error says that trying again does not help, or until the policy gives up; then the
/// error is marked exhausted. An error that asks for a pause of more than `longest` is told at once.
pub(crate) async fn retrying<T, F: Future<Output = Result<T>>>(
    policy: &RetryPolicy,
    longest: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T> {
    let mut pauses = Pauses::new(*policy);
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match (pauses.after(&error), error.retry()) {
            (Some(pause), RetryAdvice::After(_)) if pause > longest => return Err(error),
            (Some(pause), _) => {
                tracing::warn!(%error, ?pause, "trying again");
                sleep(pause).await;
            }
            (None, RetryAdvice::Backoff | RetryAdvice::After(_)) => {
                return Err(error.with("tries", policy.retries + 1).exhausted());
            }
            (None, _) => return Err(error),
        }
    }
}
