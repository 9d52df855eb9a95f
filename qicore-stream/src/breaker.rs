//! A circuit breaker: after some failures in a row nobody calls the endpoint for a while, then one caller probes it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

/// When a circuit breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// Failures in a row, over all lanes, that open it; 0 never opens it.
    pub failures: u32,
    /// How long it stays open before one call may probe.
    #[serde(with = "qicore_data::settings::duration")]
    pub pause: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(5),
        }
    }
}

impl BreakerPolicy {
    /// Opens after so many failures in a row, for so long.
    pub const fn new(failures: u32, pause: Duration) -> Self {
        Self { failures, pause }
    }
}

/// One endpoint's breaker, shared by all its callers.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While open: when the next probe may go.
    probe_at: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may go out. While the breaker is open one caller per pause is let through.
    pub(crate) async fn pass(&self) {
        loop {
            let at = {
                let mut state = self.state();
                match state.probe_at {
                    None => return,
                    Some(at) if at <= Instant::now() => {
                        state.probe_at = Some(Instant::now() + self.policy.pause);
                        return;
                    }
                    Some(at) => at,
                }
            };
            sleep_until(at).await;
        }
    }

    pub(crate) fn succeeded(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn failed(&self) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if self.policy.failures > 0 && state.failures >= self.policy.failures {
            state.probe_at = Some(Instant::now() + self.policy.pause);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state().probe_at.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn opens_probes_and_closes() {
        let pause = Duration::from_secs(5);
        let breaker = Breaker::new(BreakerPolicy::new(2, pause));
        breaker.failed();
        assert!(!breaker.is_open());
        breaker.failed();
        assert!(breaker.is_open());

        let start = Instant::now();
        breaker.pass().await;
        assert_eq!(start.elapsed(), pause, "the probe waits for the pause");
        breaker.pass().await;
        assert_eq!(start.elapsed(), pause * 2, "one probe per pause");
        breaker.succeeded();
        breaker.pass().await;
        assert_eq!(start.elapsed(), pause * 2);
    }
}
