//! What all tasks of a run share.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    BatchPolicy, DeadLetter, DeadLetters, Error, ErrorKind, NewTransform, Result, RetryPolicy, Sink, Tables, WriterId,
};
use tokio::sync::Semaphore;

use super::acks::Commits;
use crate::breaker::Breaker;
use crate::pipeline::Options;
use crate::queue::Cost;
use crate::retry::{in_time, retrying};
use crate::stats::Counts;

/// A sink with everything that its lanes share.
pub(crate) struct SinkStage {
    pub(crate) name: String,
    pub(crate) sink: Arc<dyn Sink>,
    /// What the sink keeps its checkpoints under.
    pub(crate) writer: WriterId,
    pub(crate) stores_checkpoints: bool,
    /// Each delivery is to end with a checkpoint.
    pub(crate) checkpoint_each: bool,
    pub(crate) batch: BatchPolicy,
    pub(crate) flush_after: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) breaker: Breaker,
    pub(crate) permits: Semaphore,
}

/// When a lane takes a checkpoint: whichever is reached first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointPolicy {
    pub(super) every: Duration,
    /// More than this is not to be without one.
    most: Cost,
}

impl CheckpointPolicy {
    /// What the options say, or less where a sink writes one transaction a checkpoint.
    fn new(options: &Options, sinks: &[Arc<SinkStage>]) -> Self {
        let each = sinks
            .iter()
            .filter(|stage| stage.checkpoint_each)
            .map(|stage| stage.batch);
        let widest = Self {
            every: options.checkpoint_every,
            most: Cost {
                items: usize::MAX,
                bytes: usize::MAX,
            },
        };
        each.fold(widest, |policy, batch| Self {
            every: policy.every.min(batch.linger),
            most: Cost {
                items: policy.most.items.min(batch.events),
                bytes: policy.most.bytes.min(batch.bytes),
            },
        })
    }

    pub(super) fn due(&self, uncovered: Cost) -> bool {
        uncovered.items >= self.most.items || uncovered.bytes >= self.most.bytes
    }
}

/// The transforms, and what they look things up in.
pub(crate) struct Chain {
    pub(crate) transforms: Vec<NewTransform>,
    pub(crate) tables: Tables,
}

/// What all tasks of a run share.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) sinks: Arc<[Arc<SinkStage>]>,
    pub(crate) transforms: Vec<NewTransform>,
    pub(crate) tables: Tables,
    pub(crate) dead_letters: Option<Arc<dyn DeadLetters>>,
    pub(crate) options: Options,
    pub(super) checkpoints: CheckpointPolicy,
    pub(crate) counts: Arc<Counts>,
    pub(super) commits: Arc<Commits>,
}

impl Shared {
    pub(crate) fn new(
        name: String,
        source: String,
        sinks: Vec<Arc<SinkStage>>,
        Chain { transforms, tables }: Chain,
        dead_letters: Option<Arc<dyn DeadLetters>>,
        options: Options,
    ) -> Self {
        let stages = transforms.iter().map(|new| new().name().to_owned()).collect();
        let counts = Counts::new(stages, sinks.iter().map(|stage| stage.name.clone()).collect(), &tables);
        let (counts, commits) = (Arc::new(counts), Arc::default());
        Self {
            checkpoints: CheckpointPolicy::new(&options, &sinks),
            name,
            source,
            sinks: sinks.into(),
            transforms,
            tables,
            dead_letters,
            options,
            counts,
            commits,
        }
    }

    /// Puts letters away durably, or fails the run: a row is never dropped.
    pub(super) async fn dead_letters(&self, letters: Vec<DeadLetter>) -> Result<()> {
        let (Some(first), Some(store)) = (letters.first(), &self.dead_letters) else {
            let Some(first) = letters.first() else { return Ok(()) };
            let message = format!(
                "{} and no dead letters are set: add .dead_letters(…), or dead_letters = \"PATH\" in a file, to keep such rows",
                first.error
            );
            let error = Error::new(ErrorKind::Rejected, "pipeline", message);
            return Err(error
                .with("stage", &first.stage)
                .with("lane", &first.lane)
                .with("offset", first.offset));
        };
        let failed =
            |error: &Error, pause| tracing::warn!(stage = first.stage, %error, ?pause, "dead letters: trying again");
        retrying(&self.options.retry, failed, || {
            in_time(&self.options.retry, "dead_letters.write", store.write(letters.clone()))
        })
        .await
    }
}
