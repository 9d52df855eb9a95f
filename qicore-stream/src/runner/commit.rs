//! What the source's task does for the lanes: committing, with patience.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Checkpoint, Error, Result, RetryAdvice, RetryPolicy, Source};

use super::Shared;
use crate::checkpoints::CheckpointStore;
use crate::retry::{in_time, retrying};

/// Commits what the lanes have ready: first to the checkpoint store, then to the source.
pub(super) async fn commit(
    shared: &Shared,
    store: &Option<Arc<dyn CheckpointStore>>,
    source: &mut dyn Source,
) -> Result<()> {
    for checkpoint in shared.commits.take() {
        if let Some(store) = store {
            save(&shared.options.retry, store.as_ref(), &checkpoint).await?;
        }
        commit_to(shared, source, &checkpoint).await?;
        shared.counts.commits.add(1);
    }
    shared.commits.lost().map_or(Ok(()), Err)
}

/// The source's future borrows it mutably, which [`retrying`] cannot lend out several times.
async fn commit_to(shared: &Shared, source: &mut dyn Source, checkpoint: &Checkpoint) -> Result<()> {
    let mut failures = 0;
    loop {
        match in_time(&shared.options.retry, "source.commit", source.commit(checkpoint)).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                failures += 1;
                tokio::time::sleep(pause_after(shared, error, failures)?).await;
            }
        }
    }
}

async fn save(retry: &RetryPolicy, store: &dyn CheckpointStore, checkpoint: &Checkpoint) -> Result<()> {
    let failed = |error: &Error, pause| tracing::warn!(%error, ?pause, "checkpoint: trying again");
    retrying(retry, failed, || {
        in_time(retry, "checkpoints.save", store.save(checkpoint))
    })
    .await
}

/// How long to wait before a failed call of the source is tried again, while its error advises it.
pub(super) fn pause_after(shared: &Shared, error: Error, failures: usize) -> Result<Duration> {
    let (error, pause) = patience(&shared.options.retry, error, failures)?;
    shared.counts.source_failures.add(1);
    tracing::warn!(%error, ?pause, "source: trying again");
    Ok(pause)
}

/// An error with the pause that the policy asks for after so many failures in a row; the error alone, if it advises
/// against another try or the policy gives up.
pub(super) fn patience(policy: &RetryPolicy, error: Error, failures: usize) -> Result<(Error, Duration)> {
    let pause = policy
        .first_pause
        .saturating_mul(1 << failures.min(20))
        .min(policy.longest_pause);
    let pause = match error.retry() {
        RetryAdvice::Backoff => pause,
        RetryAdvice::After(wait) => wait.max(pause),
        _ => return Err(error),
    };
    if failures > policy.retries {
        return Err(error.with("tries", failures).exhausted());
    }
    Ok((error, pause))
}
