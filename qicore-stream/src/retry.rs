//! Calls that are tried again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use qicore_data::{Error, ErrorKind, Result, RetryAdvice, RetryPolicy};
use tokio::time::{sleep, timeout};

/// One try under the policy's time limit.
pub(crate) async fn in_time<T>(
    policy: &RetryPolicy,
    operation: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    timeout(policy.timeout, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {:?}", policy.timeout);
        Err(Error::new(ErrorKind::Timeout, operation, message).with_retry(RetryAdvice::Backoff))
    })
}

/// Calls until it succeeds, until its error says that trying again does not help, or until the policy gives up; then
/// the error is marked exhausted. `failed` sees each failure that is followed by another try.
pub(crate) async fn retrying<T, F, Fut>(
    policy: &RetryPolicy,
    mut failed: impl FnMut(&Error, Duration),
    mut call: F,
) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(policy.first_pause)
        .with_max_delay(policy.longest_pause)
        .with_max_times(policy.retries)
        .with_jitter()
        .build();
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let wanted = match error.retry() {
            RetryAdvice::Backoff => Duration::ZERO,
            RetryAdvice::After(wait) => wait,
            _ => return Err(error),
        };
        let Some(pause) = pauses.next() else {
            return Err(error.with("tries", policy.retries + 1).exhausted());
        };
        let pause = pause.max(wanted);
        failed(&error, pause);
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    async fn tries(policy: &RetryPolicy, advice: RetryAdvice) -> (u32, Error, Duration) {
        let (mut tries, start) = (0, Instant::now());
        let error = retrying(
            policy,
            |_, _| {},
            || {
                tries += 1;
                async move { Err::<(), _>(Error::new(ErrorKind::Unavailable, "test", "down").with_retry(advice)) }
            },
        )
        .await
        .unwrap_err();
        (tries, error, start.elapsed())
    }

    fn policy() -> RetryPolicy {
        RetryPolicy::default()
            .retries(3)
            .pauses(Duration::from_millis(10), Duration::from_millis(50))
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_once_and_says_so() {
        let (count, error, _) = tries(&policy(), RetryAdvice::Backoff).await;
        assert_eq!((count, error.retry()), (4, RetryAdvice::Exhausted));
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_nest_and_does_not_try_the_hopeless() {
        for advice in [RetryAdvice::Never, RetryAdvice::Exhausted] {
            assert_eq!(tries(&policy(), advice).await.0, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn honours_retry_after() {
        let (_, _, waited) = tries(&policy(), RetryAdvice::After(Duration::from_secs(7))).await;
        assert!(waited >= Duration::from_secs(21), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_times_out() {
        let policy = policy().timeout(Duration::from_secs(2));
        let error = in_time(&policy, "test", std::future::pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
}
