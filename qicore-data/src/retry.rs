//! How often and how patiently to try again.

use std::time::Duration;

use serde::Deserialize;

use crate::settings::duration;

/// Exponential backoff with jitter. The layer that gives up marks its error [exhausted](crate::Error::exhausted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Tries after the first one; 0 never tries again.
    pub retries: usize,
    /// The first pause.
    #[serde(with = "duration")]
    pub first_pause: Duration,
    /// The longest pause. A server's Retry-After may be longer and is honoured.
    #[serde(with = "duration")]
    pub longest_pause: Duration,
    /// How long one try may take before it counts as timed out.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 10,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One try only.
    pub fn never() -> Self {
        Self {
            retries: 0,
            ..Self::default()
        }
    }

    /// Sets the number of tries after the first.
    #[must_use]
    pub fn retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the first and the longest pause.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_pause, self.longest_pause) = (first, longest);
        self
    }

    /// Sets how long one try may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}
